//! A throw-away PostgreSQL for the tests: made under `target`, on a port of its own, gone at the end.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Failure, Result, command, root, run, succeeds};

/// Where its files are.
const FOLDER: &str = "target/test-postgres";
/// The superuser's password; the server listens on the loopback alone and ends with the tests.
const PASSWORD: &str = "tests";
/// No sync: nothing of it is kept, and a test does not cut the power. Enough connections for every test's own store.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
max_connections = 400
shared_buffers = 128MB
";

/// The folder of Debian's newest server programs, or of those on the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let newest = fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let versions = versions.filter_map(|version| {
            let version = version.ok()?.path();
            let number: u32 = version.file_name()?.to_str()?.parse().ok()?;
            let programs = version.join("bin");
            programs.join("initdb").is_file().then_some((number, programs))
        });
        versions.max().map(|(_, programs)| programs)
    });
    newest.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
    })
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let failed = |what: &'static str| move |error: std::io::Error| Failure(format!("{what}: {error}"));
        let programs = programs().ok_or_else(|| Failure("no PostgreSQL server was found".to_owned()))?;
        let folder = root().join(FOLDER);
        let data = folder.join("data");
        if data.exists() {
            // Left behind by a run that was killed.
            succeeds(as_its_user(&programs.join("pg_ctl")).args(["-D"]).arg(&data).args(["-m", "immediate", "stop"]));
            fs::remove_dir_all(&folder).map_err(failed("cannot clear the folder of the test database"))?;
        }
        fs::create_dir_all(&folder).map_err(failed("cannot make the folder of the test database"))?;
        let password = folder.join("password");
        fs::write(&password, PASSWORD).map_err(failed("cannot write the password of the test database"))?;
        if crate::prerequisites::is_root() {
            run(command("chown").args(["-R", "postgres"]).arg(&folder))?;
        }
        run(as_its_user(&programs.join("initdb"))
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(&data))?;
        let port = free_port().map_err(failed("no free port for the test database"))?;
        let settings = data.join("postgresql.auto.conf");
        fs::write(&settings, format!("{SETTINGS}port = {port}\n"))
            .map_err(failed("cannot set up the test database"))?;
        let server = Self { programs, data, port };
        run(server.control().arg("-l").arg(folder.join("log")).args(["-w", "start"]))?;
        Ok(server)
    }

    /// How the tests reach it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    fn control(&self) -> Command {
        let mut control = as_its_user(&self.programs.join("pg_ctl"));
        control.arg("-D").arg(&self.data);
        control
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(Failure(reason)) = run(self.control().args(["-m", "immediate", "stop"])) {
            println!("{reason}");
        }
        // Nobody needs it any more; what cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(root().join(FOLDER));
    }
}

/// A server refuses to run as root, so that root runs it as the user that its package made.
fn as_its_user(program: &Path) -> Command {
    if crate::prerequisites::is_root() {
        let mut runuser = command("runuser");
        runuser.args(["-u", "postgres", "--"]).arg(program);
        runuser
    } else {
        command(program)
    }
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port())
}
