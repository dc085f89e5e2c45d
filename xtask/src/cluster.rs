//! Throw-away PostgreSQL clusters: made in a folder, on a port of their own, stopped when dropped.
//!
//! The suites that need servers of their own (`crates/cli/tests`) include this file, so it knows nothing of the chores.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The superuser's password; a cluster listens on the loopback alone.
const PASSWORD: &str = "tests";

type Result<T> = std::result::Result<T, String>;

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

/// A cluster that runs until this is dropped.
pub(crate) struct Cluster {
    programs: PathBuf,
    data: PathBuf,
    log: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes a cluster in a folder and starts it. A folder of that name that a killed run left behind is cleared.
    pub(crate) fn start(folder: &Path, settings: &str) -> Result<Self> {
        let cluster = Self::at(folder)?;
        let password = folder.join("password");
        fs::write(&password, PASSWORD).map_err(|error| format!("cannot write {}: {error}", password.display()))?;
        give_away(folder)?;
        run(cluster
            .program("initdb")
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(&cluster.data))?;
        cluster.set(settings)?;
        cluster.control(&["-w", "start"])?;
        Ok(cluster)
    }

    /// Makes a standby of a running cluster, which follows it until it is promoted.
    pub(crate) fn standby_of(primary: &Self, folder: &Path, settings: &str) -> Result<Self> {
        let cluster = Self::at(folder)?;
        give_away(folder)?;
        let port = primary.port.to_string();
        run(cluster
            .program("pg_basebackup")
            .args(["-h", "127.0.0.1", "-U", "postgres", "--checkpoint=fast", "--no-sync", "-p", &port, "-D"])
            .arg(&cluster.data)
            .env("PGPASSWORD", PASSWORD))?;
        let source = format!("primary_conninfo = 'host=127.0.0.1 port={port} user=postgres password={PASSWORD}'");
        cluster.set(&format!("{settings}\n{source}"))?;
        let signal = cluster.data.join("standby.signal");
        fs::write(&signal, "").map_err(|error| format!("cannot write {}: {error}", signal.display()))?;
        give_away(folder)?;
        cluster.control(&["-w", "start"])?;
        Ok(cluster)
    }

    /// Ends all of its processes at once, as a crash of its machine does.
    pub(crate) fn kill(&self) -> Result<()> {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).map_err(|error| error.to_string())?;
        let first = file.lines().next().unwrap_or_default().to_owned();
        let said = Command::new("ps").args(["-o", "pid=", "--ppid", &first]).output().map_err(|e| e.to_string())?;
        let children = String::from_utf8_lossy(&said.stdout).into_owned();
        // The first must not see its children go, and make new ones.
        run(Command::new("kill").args(["-KILL", &first]))?;
        // One that has gone by itself meanwhile is no failure.
        let _ = run(Command::new("kill").arg("-KILL").args(children.split_whitespace()));
        Ok(())
    }

    fn at(folder: &Path) -> Result<Self> {
        let programs = programs().ok_or("no PostgreSQL server was found")?;
        let data = folder.join("data");
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let cluster = Self { programs, data, log: folder.join("log"), port };
        if cluster.data.exists() {
            let _ = cluster.control(&["-m", "immediate", "stop"]);
            fs::remove_dir_all(folder).map_err(|error| format!("cannot clear {}: {error}", folder.display()))?;
        }
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(cluster)
    }

    /// Takes the place of the settings that it was started with; they hold from its next start.
    pub(crate) fn set(&self, settings: &str) -> Result<()> {
        let file = self.data.join("postgresql.auto.conf");
        let all =
            format!("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = {}\n{settings}\n", self.port);
        fs::write(&file, all).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How the superuser reaches it.
    pub(crate) fn url(&self) -> String {
        url_of(&self.address())
    }

    fn program(&self, name: &str) -> Command {
        as_its_user(&self.programs.join(name))
    }

    /// Runs `pg_ctl` on it.
    pub(crate) fn control(&self, arguments: &[&str]) -> Result<()> {
        run(self.program("pg_ctl").arg("-D").arg(&self.data).arg("-l").arg(&self.log).args(arguments))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have been stopped or killed already.
        let _ = self.control(&["-m", "immediate", "stop"]);
        if let Some(folder) = self.data.parent() {
            // What cannot be removed now is removed by the next run in the same folder.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The superuser's way to one address, or to several with commas between them.
pub(crate) fn url_of(addresses: &str) -> String {
    format!("postgres://postgres:{PASSWORD}@{addresses}/postgres")
}

/// Lets the user that the server runs as work in a folder.
fn give_away(folder: &Path) -> Result<()> {
    if is_root() { run(Command::new("chown").args(["-R", "postgres"]).arg(folder)) } else { Ok(()) }
}

/// A server refuses to run as root, so that root runs it as the user that its package made.
fn as_its_user(program: &Path) -> Command {
    if is_root() {
        let mut runuser = Command::new("runuser");
        runuser.args(["-u", "postgres", "--"]).arg(program);
        runuser
    } else {
        Command::new(program)
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n")
}

/// Runs a program to its end. A server that it starts lives on, and so must not be given a pipe to talk into.
fn run(command: &mut Command) -> Result<()> {
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port())
}
