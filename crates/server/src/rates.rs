//! The operator's file of currency rates, which may be replaced while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use agentsight_model::currency::EuroRates;
use agentsight_model::limits::CURRENCY_FILE_BYTES;
use agentsight_model::refusal::Refusal;
use agentsight_store::Error;
use parking_lot::Mutex;

/// How long what was read is believed before the file is looked at again.
const BELIEVED: Duration = Duration::from_secs(10);

/// Rates from a file, and when they were read.
pub(crate) struct RatesFile {
    path: PathBuf,
    last: Mutex<Last>,
}

struct Last {
    rates: Arc<EuroRates>,
    stamp: Stamp,
    looked: Instant,
}

/// What tells a file from the one that took its place.
type Stamp = Option<(SystemTime, u64)>;

impl RatesFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Open`] with one sentence that names the file and what is wrong with it.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let stamp = stamp(&path);
        let rates = read(&path).map_err(|why| {
            Error::Open(format!("currency_rates (AGENTSIGHT_CURRENCY_RATES): {}: {why}", path.display()))
        })?;
        tell(&rates);
        let last = Last { rates: Arc::new(rates), stamp, looked: Instant::now() };
        Ok(Self { path, last: Mutex::new(last) })
    }

    /// The rates of the file as it is, a few seconds late. A file that cannot be read any more leaves those that were.
    pub(crate) async fn current(self: &Arc<Self>) -> Arc<EuroRates> {
        {
            let mut last = self.last.lock();
            if last.looked.elapsed() < BELIEVED {
                return Arc::clone(&last.rates);
            }
            // Whoever comes meanwhile does not look as well.
            last.looked = Instant::now();
        }
        let this = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || this.look()).await;
        looked.unwrap_or_else(|_| Arc::clone(&self.last.lock().rates))
    }

    fn look(&self) -> Arc<EuroRates> {
        let stamp = stamp(&self.path);
        if stamp != self.last.lock().stamp {
            match read(&self.path) {
                Ok(rates) => {
                    tell(&rates);
                    let mut last = self.last.lock();
                    (last.rates, last.stamp) = (Arc::new(rates), stamp);
                }
                Err(why) => {
                    tracing::warn!(file = %self.path.display(), why, "currency rates could not be read anew; those that were read before are used");
                }
            }
        }
        Arc::clone(&self.last.lock().rates)
    }
}

fn tell(rates: &EuroRates) {
    let (days, last) = rates.extent();
    tracing::info!(days, last, "currency rates were read");
}

fn stamp(path: &std::path::Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(path: &std::path::Path) -> Result<EuroRates, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if about.len() > CURRENCY_FILE_BYTES {
        return Err(format!("more than {CURRENCY_FILE_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    EuroRates::read(&text).map_err(|refusal| match refusal {
        Refusal::Fields(errors) => errors.to_string(),
        other => format!("{other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_is_read_anew_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rates.csv");
        let put = |text: &str| {
            let new = folder.path().join("new.csv");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        put("date,currency,rate\n2026-03-02,EUR,0.85\n");
        let file = RatesFile::open(path.clone()).unwrap();
        assert_eq!(file.look().extent(), (1, Some("2026-03-02".to_owned())));

        put("date,currency,rate\n2026-03-02,EUR,0.85\n2026-03-03,EUR,0.86\n");
        assert_eq!(file.look().extent(), (2, Some("2026-03-03".to_owned())));
        put("no rates at all");
        assert_eq!(file.look().extent(), (2, Some("2026-03-03".to_owned())));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.look().extent(), (2, Some("2026-03-03".to_owned())));
    }
}
