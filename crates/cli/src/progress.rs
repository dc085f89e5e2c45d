//! How far long work has come: a bar on a terminal, a line now and then elsewhere. All of it on standard
//! error.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agentsight_store::moving::Watch;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::serve::stop;

/// Between two lines about the same work.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// What shells see of a process that an interrupt ended.
const ENDED_BY_INTERRUPT: i32 = 130;
const BAR: &str = "{msg:30} {bar:32} {human_pos} of {human_len} ({percent} %), {rate}, {eta} left";

/// Shows how far work has come, until the process is asked to stop.
pub(crate) struct Progress {
    shown: Shown,
    stopped: Arc<AtomicBool>,
}

enum Shown {
    Bar(Option<ProgressBar>),
    Lines(Option<Line>),
}

/// Work that is told of in lines.
struct Line {
    work: &'static str,
    total: u64,
    /// What an earlier run had done says nothing of how fast this one is.
    begun_at: u64,
    done: u64,
    began: Instant,
    said: Instant,
}

impl Progress {
    /// Begins to listen for the wish to stop.
    pub(crate) fn start() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let hearing = Arc::clone(&stopped);
        // Ends with the process. Without it Ctrl-C ends the process at once, which loses nothing either.
        let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(stop());
                hearing.store(true, Ordering::Relaxed);
                // Whoever asks again does not want to wait for the next good moment.
                runtime.block_on(stop());
                std::process::exit(ENDED_BY_INTERRUPT);
            }
        });
        let shown = if std::io::stderr().is_terminal() { Shown::Bar(None) } else { Shown::Lines(None) };
        Self { shown, stopped }
    }

    /// Takes the bar away, so that what is said next stands alone.
    pub(crate) fn end(&mut self) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                if let Some(bar) = bar.take() {
                    bar.finish();
                }
            }
            Shown::Lines(line) => {
                if let Some(line) = line.take() {
                    line.say();
                }
            }
        }
    }
}

impl Line {
    fn say(&self) {
        let Self { work, total, begun_at, done, began, .. } = self;
        let rate = (done - begun_at) as f64 / began.elapsed().as_secs_f64().max(0.001);
        let left = if done < total && rate > 0.0 {
            format!(", {:.0} s left", (total - done) as f64 / rate)
        } else {
            String::new()
        };
        let percent = if *total == 0 { 100 } else { done * 100 / total };
        eprintln!("{work}: {done} of {total} ({percent} %), {rate:.0}/s{left}");
    }
}

impl Watch for Progress {
    fn begin(&mut self, work: &'static str, done: u64, total: u64) {
        self.end();
        match &mut self.shown {
            Shown::Bar(bar) => {
                let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
                let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                    // A bar that cannot be written has nobody to tell.
                    let _ = write!(out, "{:.0}/s", state.per_sec());
                });
                let begun = ProgressBar::new(total).with_style(style).with_message(work).with_position(done);
                // What an earlier run did says nothing of how fast this one is.
                begun.reset_eta();
                *bar = Some(begun);
            }
            Shown::Lines(line) => {
                let now = Instant::now();
                *line = Some(Line { work, total, begun_at: done, done, began: now, said: now });
            }
        }
    }

    fn advance(&mut self, by: u64) {
        match &mut self.shown {
            Shown::Bar(Some(bar)) => bar.inc(by),
            Shown::Lines(Some(line)) => {
                line.done += by;
                if line.said.elapsed() >= LINE_EVERY {
                    line.said = Instant::now();
                    line.say();
                }
            }
            Shown::Bar(None) | Shown::Lines(None) => {}
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
