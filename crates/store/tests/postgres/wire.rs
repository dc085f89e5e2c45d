//! A wire to the server that a test may cut at the worst moment.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentsight_store::DatabaseConfig;

use crate::schema::TempSchema;

/// Passes everything on, in both directions, until it is told otherwise.
pub(crate) struct Wire {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    unplugged: bool,
    /// What is waited for, and whether it still passes itself.
    cut: Option<(&'static str, bool)>,
    cuts: usize,
    open: Vec<TcpStream>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(crate) fn to(server: &str) -> Self {
        let host = server.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(State::default())));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&shared).unplugged {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&host) else { continue };
                lock(&shared).open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), Some(Arc::clone(&shared)));
                pass(server, client, None);
            }
        });
        Self { address, state }
    }

    /// The schema over this wire.
    pub(crate) fn database(&self, schema: &TempSchema) -> DatabaseConfig {
        let (user, rest) = schema.server.split_once('@').unwrap();
        let path = rest.split_once('/').unwrap().1;
        let url = format!("{user}@{}/{path}?schema={}", self.address, schema.name);
        DatabaseConfig { connections: 2, ..DatabaseConfig::new(url.parse().unwrap()) }
    }

    /// Cuts the connection that next sends this text, which arrives; the answer does not.
    pub(crate) fn lose_the_answer_to(&self, text: &'static str) {
        lock(&self.state).cut = Some((text, true));
    }

    /// Cuts the connection that next sends this text, which does not arrive.
    pub(crate) fn lose(&self, text: &'static str) {
        lock(&self.state).cut = Some((text, false));
    }

    pub(crate) fn cuts(&self) -> usize {
        lock(&self.state).cuts
    }

    /// Cuts everything and lets nothing through.
    pub(crate) fn unplug(&self) {
        let mut state = lock(&self.state);
        state.unplugged = true;
        for end in state.open.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn plug_in(&self) {
        lock(&self.state).unplugged = false;
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, watched: Option<Arc<Mutex<State>>>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            let cut = watched.as_ref().and_then(|state| {
                let mut state = lock(state);
                let hit = state.cut.filter(|(text, _)| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
                if hit.is_some() {
                    state.cut = None;
                    state.cuts += 1;
                }
                hit
            });
            if let Some((_, arrives)) = cut {
                // The way back is closed before the server can answer.
                let _ = from.shutdown(Shutdown::Both);
                if arrives {
                    let _ = to.write_all(bytes);
                }
                break;
            }
            if length == 0 || to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Write);
    });
}
