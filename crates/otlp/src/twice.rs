//! One call of a model that two instrumentations saw: a package's own, and another that watches it from outside.
//!
//! Each makes a span, below the other's or beside it, and both report the same tokens. The outer one counts; where only the
//! inner one knows the tokens, it does. The other stays in the archive, and what it says is told once anyway. Where they come in
//! two exports, the store finds the first when it books the second.

use std::collections::HashMap;

use agentsight_model::span::{LlmCall, Tells};
use agentsight_model::time::Timestamp;

use crate::span::Read;

/// Calls that run at once within one trace and are looked at; more are taken for what they are.
const AT_ONCE: usize = 64;

/// A call, by its place in the export.
struct Seen {
    at: usize,
    started_at: Timestamp,
    ended_at: Timestamp,
}

/// Lets calls count once that came twice in an export.
pub(crate) fn count_once(spans: &mut [Read]) {
    let mut traces: HashMap<&str, Vec<Seen>> = HashMap::new();
    for (at, read) in spans.iter().enumerate() {
        let times = read.span.started_at.zip(read.span.ended_at);
        if let (Tells::Llm(_), Some((started_at, ended_at)), false) =
            (&read.span.tells, times, read.span.trace_id.is_empty())
        {
            traces.entry(&read.span.trace_id).or_default().push(Seen { at, started_at, ended_at });
        }
    }
    let mut silent: Vec<usize> = Vec::new();
    for mut calls in traces.into_values() {
        // An outer one before what is in it.
        calls.sort_by_key(|call| (call.started_at, std::cmp::Reverse(call.ended_at)));
        let mut around: Vec<Seen> = Vec::new();
        for call in calls {
            around.retain(|outer| outer.ended_at >= call.started_at);
            let outer = around
                .iter()
                .rev()
                .take(AT_ONCE)
                .find(|outer| outer.ended_at >= call.ended_at && is_same(spans.get(outer.at), spans.get(call.at)));
            if let Some(outer) = outer {
                let is_told = |at: usize| spans.get(at).and_then(call_of).is_some_and(|call| call.is_reported);
                silent.push(if is_told(call.at) && !is_told(outer.at) { outer.at } else { call.at });
            }
            around.push(call);
        }
    }
    for at in silent {
        if let Some(read) = spans.get_mut(at) {
            read.span.tells = Tells::Nothing;
        }
    }
}

fn call_of(read: &Read) -> Option<&LlmCall> {
    match &read.span.tells {
        Tells::Llm(call) => Some(call),
        _ => None,
    }
}

/// Whether two calls, of which one runs while the other does, may be one: other eyes saw the same model.
fn is_same(one: Option<&Read>, other: Option<&Read>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let model = |read| call_of(read).and_then(|call| call.model.as_deref());
    one.scope != other.scope && (model(one) == model(other) || model(one).is_none() || model(other).is_none())
}
