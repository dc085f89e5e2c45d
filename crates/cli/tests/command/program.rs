//! The real binary, run in a folder of its own, and a few lines of HTTP to talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes: whoever waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary folder in which commands run, with nothing from outside in their environment.
pub(crate) struct Folder(tempfile::TempDir);

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("agentsight-data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentsight"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command to its end. The folder's own path reads `…` in what it says.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.run_with(line, &[])
    }

    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Said {
        let mut child = self
            .command(line)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What these commands say fits a pipe: they never wait for a reader.
        let code = end_of(&mut child);
        let text = |mut pipe: Box<dyn std::io::Read>| {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text.replace(self.path().to_str().unwrap(), "…")
        };
        let (out, err) = (text(Box::new(child.stdout.take().unwrap())), text(Box::new(child.stderr.take().unwrap())));
        Said { code, out, err }
    }

    /// Starts the server on a free port and waits for its greeting.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with("serve --listen 127.0.0.1:0", &[])
    }

    pub(crate) fn serve_with(&self, line: &str, variables: &[(&str, &str)]) -> Server {
        let mut child = self.start(line, variables);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        out.read_line(&mut greeting).unwrap();
        let address = greeting
            .trim()
            .rsplit_once("http://")
            .unwrap_or_else(|| panic!("no greeting but {greeting:?}"))
            .1
            .to_owned();
        while !greeting.contains("documentation") {
            assert_ne!(out.read_line(&mut greeting).unwrap(), 0, "{greeting}");
        }
        Server { child, address, greeting, _out: out }
    }

    /// Starts a command whose log goes to the folder's `log`.
    pub(crate) fn start(&self, line: &str, variables: &[(&str, &str)]) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("log")).unwrap();
        self.command(line).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    /// Everything that servers of this folder have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap()
    }

    /// A key for the agent `bot`.
    pub(crate) fn key(&self) -> String {
        self.key_with(&[])
    }

    pub(crate) fn key_with(&self, variables: &[(&str, &str)]) -> String {
        let said = self.run_with("key create --agent bot", variables);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out.trim().to_owned()
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) greeting: String,
    _out: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end; `None` where a signal ended it.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        end_of(&mut self.child)
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        Client::to(&self.address, key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end_of(child: &mut Child) -> Option<i32> {
    let mut code = None;
    eventually("the program ends", || match child.try_wait().unwrap() {
        Some(status) => {
            code = status.code();
            true
        }
        None => false,
    });
    code
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A caller with one connection, opened anew when it broke.
pub(crate) struct Client {
    address: String,
    key: String,
    connection: Option<BufReader<TcpStream>>,
    /// What the last answer said of it, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// The id of the last answer.
    pub(crate) request_id: String,
}

impl Client {
    pub(crate) fn to(address: &str, key: &str) -> Self {
        Self {
            address: address.to_owned(),
            key: key.to_owned(),
            connection: None,
            retry_after: None,
            request_id: String::new(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> std::io::Result<(u16, Value)> {
        self.ask("GET", path, "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, Value)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Api-Key {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        connection.get_mut().write_all(request.as_bytes())?;
        let bad = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let mut length = 0;
        self.retry_after = None;
        loop {
            line.clear();
            if connection.read_line(&mut line)? == 0 {
                return Err(bad());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().map_err(|_| bad())?;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("retry-after:") {
                self.retry_after = text.trim().parse().ok();
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("x-request-id:") {
                text.trim().clone_into(&mut self.request_id);
            }
        }
        let mut bytes = vec![0; length];
        connection.read_exact(&mut bytes)?;
        self.connection = Some(connection);
        Ok((status, serde_json::from_slice(&bytes).map_err(|_| bad())?))
    }
}
