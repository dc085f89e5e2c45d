//! What real instrumentations exported, and what is made of it.
//!
//! The captures in `golden/` are of runs of the suite `tests/otel`: `cargo xtask test --only otel -- --write-golden` makes
//! them anew. Beside each stands how it is read; `AGENTSIGHT_WRITE_GOLDEN=1 cargo test -p agentsight-otlp --test golden`
//! writes that again, for a change of an adapter to be looked at as a difference.

#![expect(clippy::unwrap_used, reason = "the helpers of tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use agentsight_model::span::{NewSpan, Tells, TraceSpans, TurnMessage};
use agentsight_otlp::{Encoding, Signal, read};

fn captures() -> Vec<PathBuf> {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut captures: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    captures.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    captures.sort();
    captures
}

fn told(traces: &[TraceSpans]) -> String {
    let mut text = String::new();
    for trace in traces {
        let (name, customer) = (trace.conversation_id.as_deref(), trace.fields.customer_id.as_deref());
        writeln!(text, "trace of {} by {}", name.unwrap_or("nothing"), customer.unwrap_or("nobody")).unwrap();
        trace.spans.iter().for_each(|span| tell(&mut text, span));
    }
    text
}

fn tell(text: &mut String, span: &NewSpan) {
    writeln!(text, "  {} {:?} {}", span.kind, span.name, span.status).unwrap();
    match &span.tells {
        Tells::Tool(run) => {
            let (name, arguments, response, error) = (&run.name, run.arguments.as_str(), &run.response, &run.error);
            writeln!(text, "    ran {name} with {arguments}: {response:?}, error {error:?}").unwrap();
        }
        Tells::Llm(call) => {
            let model = call.model.as_deref().unwrap_or("no model");
            let counts = &call.counts;
            writeln!(
                text,
                "    called {model}: prompt {}, completion {}, cache {}/{}, reasoning {}, embedding {}",
                counts.prompt_tokens,
                counts.completion_tokens,
                counts.cache_read_tokens,
                counts.cache_write_tokens,
                counts.reasoning_tokens,
                counts.embedding_tokens
            )
            .unwrap();
        }
        _ => {}
    }
    let mut lines = |verb: &str, messages: &[TurnMessage]| {
        for message in messages {
            writeln!(text, "    {verb} {:?}: {:?}", message.sender, message.content).unwrap();
        }
    };
    if let Some(dialogue) = &span.dialogue {
        lines("heard", &dialogue.heard);
        lines("said", &dialogue.said);
    }
}

#[test]
fn every_capture_is_read_as_it_was() {
    let captures = captures();
    assert!(!captures.is_empty());
    for capture in captures {
        let bytes = fs::read(&capture).unwrap();
        let exports = [Signal::Traces, Signal::Logs].map(|signal| read(signal, &bytes, Encoding::Json).unwrap());
        assert_eq!(exports.iter().map(|export| export.rejected).sum::<u64>(), 0);
        let now = exports.map(|export| told(&export.traces)).concat();
        let file = capture.with_extension("txt");
        if std::env::var_os("AGENTSIGHT_WRITE_GOLDEN").is_some() {
            fs::write(&file, &now).unwrap();
        }
        let then = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(now, then, "{}", capture.display());
    }
}
