//! What must be on the machine before a step can run.
//!
//! A prerequisite is one entry of [`ALL`]. Where we may install it (root on Debian) we do, otherwise
//! we say what is missing and which command brings it.

use std::path::Path;

use crate::command::{Failure, Result, cargo, command, run, succeeds};
use crate::python;
use crate::test::Step;

struct Prerequisite {
    name: &'static str,
    /// The steps that cannot do without it.
    steps: &'static [Step],
    present: fn() -> bool,
    remedy: Remedy,
}

#[derive(Clone, Copy)]
enum Remedy {
    /// Packages of Debian.
    Debian(&'static [&'static str]),
    /// A command that is the user's to run.
    Run(&'static str),
}

const ALL: &[Prerequisite] = &[
    Prerequisite {
        name: "rustfmt",
        steps: &[Step::Fmt],
        present: || succeeds(&mut cargo("fmt --version")),
        remedy: Remedy::Run("rustup component add rustfmt"),
    },
    Prerequisite {
        name: "clippy",
        steps: &[Step::Clippy],
        present: || succeeds(&mut cargo("clippy --version")),
        remedy: Remedy::Run("rustup component add clippy"),
    },
    Prerequisite {
        name: "Python 3 with venv",
        steps: &[Step::Python, Step::Deny, Step::Deploy, Step::Otel, Step::Openapi],
        present: || python::interpreter().is_some(),
        remedy: Remedy::Debian(&["python3", "python3-venv"]),
    },
    Prerequisite {
        name: "PostgreSQL server",
        steps: &[Step::Rust, Step::Postgres, Step::Sdk, Step::Spans, Step::Nodes],
        present: || crate::cluster::programs().is_some(),
        remedy: Remedy::Debian(&["postgresql"]),
    },
    Prerequisite {
        name: "openssl",
        steps: &[Step::Nodes],
        present: || succeeds(command("openssl").arg("version")),
        remedy: Remedy::Debian(&["openssl"]),
    },
    Prerequisite {
        name: "npm",
        steps: &[Step::Geoip, Step::Otel],
        present: || succeeds(command("npm").arg("--version")),
        remedy: Remedy::Debian(&["npm"]),
    },
];

/// Installs or names whatever `steps` miss.
pub(crate) fn provide(steps: &[Step]) -> Result<()> {
    let mut packages = Vec::new();
    let mut advice = Vec::new();
    for Prerequisite { name, steps: needed_by, present, remedy } in ALL {
        if !steps.iter().any(|step| needed_by.contains(step)) {
            continue;
        }
        let found = present();
        println!("{name}: {}", if found { "here" } else { "missing" });
        match (found, *remedy) {
            (true, _) => {}
            (false, Remedy::Debian(names)) => packages.extend_from_slice(names),
            (false, Remedy::Run(line)) => advice.push(line.to_owned()),
        }
    }
    if !packages.is_empty() {
        if is_debian() && is_root() {
            install(&packages)?;
        } else {
            advice.push(format!(
                "apt-get install {}    # Debian; elsewhere the packages of the same purpose",
                packages.join(" ")
            ));
        }
    }
    if advice.is_empty() {
        Ok(())
    } else {
        Err(Failure(format!("Please run this, then try again:\n  {}", advice.join("\n  "))))
    }
}

fn install(packages: &[&str]) -> Result<()> {
    run(command("apt-get").args(["update", "--quiet=2"]))?;
    run(command("apt-get")
        .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    succeeds(command("sh").args(["-c", "test $(id -u) = 0"]))
}
