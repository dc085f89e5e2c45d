//! Python environments of our own under `.test-deps`, filled from lists with pinned hashes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::command::{Failure, Result, command, root, run, succeeds, test_deps};

/// The first Python that can make an environment. A version manager's shim may be first on the path and
/// point nowhere, and Debian's own Python has no `ensurepip` without its package `python3-venv`.
pub(crate) fn interpreter() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| succeeds(command(python).args(["-c", "import venv; from ensurepip import version"])))
}

/// An environment that is wanted while it is being made is waited for.
static MAKING: Mutex<()> = Mutex::new(());

/// An environment under `.test-deps`.
#[derive(Clone, Copy)]
pub(crate) struct Environment {
    pub(crate) name: &'static str,
    /// The list of what is in it, from the root of the repository.
    pub(crate) requirements: &'static str,
}

impl Environment {
    /// Its folder of programs, with exactly what the list has; made anew when the list has changed.
    pub(crate) fn programs(self) -> Result<PathBuf> {
        let Self { name, requirements } = self;
        let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
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
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-compile",
                "--require-hashes",
            ])
            .args(["--requirement", requirements]))?;
        fs::write(&stamp, wanted).map_err(|error| Failure(format!("cannot write {}: {error}", stamp.display())))?;
        Ok(programs)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Failure(format!("cannot read {}: {error}", path.display())))
}
