//! Packages for Node of our own under `.test-deps`, as a lock file has them.

use std::fs;
use std::path::PathBuf;

use crate::command::{Failure, Result, command, root, run, test_deps};

/// The folder `.test-deps/NAME` with the packages that the lock file in `pinned` lists, and what else lies there: Node
/// looks for packages beside the program that it runs. Installed anew when the lock file has changed.
pub(crate) fn packages(name: &str, pinned: &str) -> Result<PathBuf> {
    let folder = test_deps().join(name);
    let failed = |what: &'static str| move |error: std::io::Error| Failure(format!("{what}: {error}"));
    fs::create_dir_all(&folder).map_err(failed("cannot make the folder of the packages"))?;
    let programs = root().join(pinned);
    for entry in fs::read_dir(&programs).map_err(failed("cannot list the pinned packages"))? {
        let entry = entry.map_err(failed("cannot list the pinned packages"))?;
        fs::copy(entry.path(), folder.join(entry.file_name())).map_err(failed("cannot copy a program"))?;
    }
    let wanted = fs::read(programs.join("package-lock.json")).map_err(failed("cannot read the lock file"))?;
    let stamp = folder.join("installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        println!(".test-deps/{name} is as {pinned} wants it");
        return Ok(folder);
    }
    run(command("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(&folder))?;
    fs::write(&stamp, wanted).map_err(failed("cannot write what is installed"))?;
    Ok(folder)
}
