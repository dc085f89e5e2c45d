//! Python environments of our own under `.test-deps`, filled from lists with pinned hashes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, command, root, run, succeeds, test_deps};

/// The first Python that can make an environment. A version manager's shim may be first on the path and
/// point nowhere, and Debian's own Python has no `ensurepip` without its package `python3-venv`.
pub(crate) fn interpreter() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| succeeds(command(python).args(["-c", "import venv; from ensurepip import version"])))
}

/// The environment `.test-deps/NAME` with exactly what `requirements` lists; made anew when the list has changed.
///
/// Returns the folder of its programs.
pub(crate) fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = test_deps().join(name);
    let programs = folder.join("bin");
    let stamp = folder.join("installed-requirements.txt");
    let wanted = read(&root().join(requirements))?;

    let works = succeeds(command(programs.join("python")).arg("--version"));
    if works && fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        println!(".test-deps/{name} is as {requirements} wants it");
        return Ok(programs);
    }

    let python = interpreter().ok_or_else(|| {
        Failure(
            "no Python 3 with venv was found; `cargo xtask test --only prerequisites,sdk` tells how to get one"
                .to_owned(),
        )
    })?;
    run(command(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(command(programs.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement"])
        .arg(requirements))?;
    fs::write(&stamp, wanted).map_err(|error| Failure(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(programs)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Failure(format!("cannot read {}: {error}", path.display())))
}
