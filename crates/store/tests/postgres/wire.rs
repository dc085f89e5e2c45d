//! A wire to the server that a test may cut, or let fall silent, at the worst moment.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use agentsight_store::DatabaseConfig;

use crate::schema::TempSchema;

/// Passes everything on, in both directions, until it is told otherwise.
pub(crate) struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told of every change.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    unplugged: bool,
    /// Nothing passes, in either direction, and nobody is told.
    silent: bool,
    /// How many bytes to the server still pass before it falls silent.
    allowance: Option<usize>,
    /// What is waited for, and whether it still passes itself.
    cut: Option<(&'static str, bool)>,
    cuts: usize,
    /// What is held up, with all behind it on its connection, and whether that is so now.
    held: Option<(&'static str, bool)>,
    open: Vec<TcpStream>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn to(server: &str) -> Self {
        let host = server.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<Shared>::default());
        let passing = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if passing.lock().unplugged {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&host) else { continue };
                passing.lock().open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&passing), true);
                pass(server, client, Arc::clone(&passing), false);
            }
        });
        Self { address, shared }
    }

    /// The address of the server over this wire.
    pub(crate) fn url(&self, server: &str) -> String {
        let (user, rest) = server.split_once('@').unwrap();
        format!("{user}@{}/{}", self.address, rest.split_once('/').unwrap().1)
    }

    /// The schema over this wire.
    pub(crate) fn database(&self, schema: &TempSchema) -> DatabaseConfig {
        let url = format!("{}?schema={}", self.url(&schema.server), schema.name);
        DatabaseConfig { connections: 2, ..DatabaseConfig::new(url.parse().unwrap()) }
    }

    /// Cuts the connection that next sends this text, which arrives; the answer does not.
    pub(crate) fn lose_the_answer_to(&self, text: &'static str) {
        self.shared.lock().cut = Some((text, true));
    }

    /// Cuts the connection that next sends this text, which does not arrive.
    pub(crate) fn lose(&self, text: &'static str) {
        self.shared.lock().cut = Some((text, false));
    }

    /// Holds up the connection that next sends this text, from that on; others pass.
    pub(crate) fn hold(&self, text: &'static str) {
        self.shared.lock().held = Some((text, false));
    }

    /// What was held up arrives, however late.
    pub(crate) fn release(&self) {
        self.shared.change(|state| state.held = None);
    }

    pub(crate) fn cuts(&self) -> usize {
        self.shared.lock().cuts
    }

    /// Cuts everything and lets nothing through.
    pub(crate) fn unplug(&self) {
        self.shared.change(|state| {
            (state.unplugged, state.silent, state.allowance) = (true, false, None);
            for end in state.open.drain(..) {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
    }

    pub(crate) fn plug_in(&self) {
        self.shared.change(|state| state.unplugged = false);
    }

    /// Holds everything up, as a network does that loses packets: nobody hears that the other is gone.
    pub(crate) fn fall_silent(&self) {
        self.shared.change(|state| state.silent = true);
    }

    /// The same after so many bytes more have gone to the server; [`Wire::is_silent`] tells when.
    pub(crate) fn fall_silent_after(&self, bytes: usize) {
        self.shared.change(|state| state.allowance = Some(bytes));
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.shared.lock().silent
    }

    /// What was held up arrives.
    pub(crate) fn speak_again(&self) {
        self.shared.change(|state| state.silent = false);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: Arc<Shared>, is_to_server: bool) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            let mut bytes = buffer.get(..length).unwrap_or_default();
            let mut state = shared.wait_while(|state| state.silent);
            let cut = state.cut.filter(|(text, _)| is_to_server && holds(bytes, text));
            if let Some((_, arrives)) = cut {
                state.cut = None;
                state.cuts += 1;
                drop(state);
                // The way back is closed before the server can answer.
                let _ = from.shutdown(Shutdown::Both);
                if arrives {
                    let _ = to.write_all(bytes);
                }
                break;
            }
            if let Some((text, false)) = state.held
                && is_to_server
                && holds(bytes, text)
            {
                state.held = Some((text, true));
                drop(state);
                state = shared.wait_while(|state| state.held.is_some());
            }
            if let Some(left) = state.allowance.filter(|_| is_to_server) {
                state.allowance = Some(left.saturating_sub(length));
                if let Some((last, rest)) = bytes.split_at_checked(left) {
                    (state.allowance, state.silent) = (None, true);
                    drop(state);
                    let _ = to.write_all(last);
                    shared.changed.notify_all();
                    bytes = rest;
                    state = shared.wait_while(|state| state.silent);
                }
            }
            drop(state);
            if length == 0 || to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
