//! Traces whose spans are being stored: one export of each at a time.
//!
//! Where the spans of a trace go is asked before they are written, and exporters send spans and log records of one trace at
//! the same moment. Both would hear that nothing of it is there yet, and each would begin a conversation. Nodes know nothing
//! of each other's exports.

use std::collections::HashSet;

use agentsight_model::ids::AgentId;
use parking_lot::Mutex;
use tokio::sync::Notify;

type Trace = (AgentId, String);

/// The traces that are being stored.
#[derive(Default)]
pub(crate) struct TracesAtWork {
    taken: Mutex<HashSet<Trace>>,
    left: Notify,
}

/// Some traces, until this is dropped.
pub(crate) struct Turn<'t> {
    at_work: &'t TracesAtWork,
    traces: HashSet<Trace>,
}

impl TracesAtWork {
    /// Waits until none of these traces is being stored, and takes them all together: whoever holds one waits for none.
    pub(crate) async fn enter<'i>(&self, agent: AgentId, ids: impl Iterator<Item = &'i str>) -> Turn<'_> {
        let traces: HashSet<Trace> = ids.filter(|id| !id.is_empty()).map(|id| (agent, id.to_owned())).collect();
        loop {
            // Before looking, so that nobody leaves unheard in between.
            let left = self.left.notified();
            {
                let mut taken = self.taken.lock();
                if traces.is_disjoint(&taken) {
                    taken.extend(traces.iter().cloned());
                    return Turn { at_work: self, traces };
                }
            }
            left.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.at_work.taken.lock().retain(|trace| !self.traces.contains(trace));
        self.at_work.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_trace_is_stored_by_one_at_a_time_and_others_do_not_wait() {
        let at_work = TracesAtWork::default();
        let enter = |agent: i64, ids: &[&'static str]| {
            let ids = ids.to_vec();
            at_work.enter(AgentId(agent), ids.into_iter())
        };
        let first = enter(1, &["a", "b"]).now_or_never().unwrap();

        assert!(enter(1, &["c"]).now_or_never().is_some());
        assert!(enter(2, &["a"]).now_or_never().is_some());
        assert!(enter(1, &["", ""]).now_or_never().is_some());
        let mut waiting = Box::pin(enter(1, &["b", "c"]));
        assert!(waiting.as_mut().now_or_never().is_none());
        // Nothing is held by whoever waits.
        assert!(enter(1, &["c"]).now_or_never().is_some());
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }
}
