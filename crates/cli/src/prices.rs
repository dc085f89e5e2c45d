//! `agentsight prices …`: on the data folder or the database itself, so that it works whether or not the server runs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use agentsight_model::limits::PRICE_LIST_BYTES;
use agentsight_model::price::list::PriceList;
use agentsight_model::price::{ALWAYS, NewPrice, PerToken, Price, Rate, model_key};
use agentsight_model::refusal::Refusal;
use agentsight_model::time::{Clock, Timestamp};
use agentsight_store::{BookChange, Error, Missing, Store};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::config::{DataArgs, Place, place};
use crate::out::{self, say};
use crate::progress::Progress;
use crate::{Failure, on_store};

const EXAMPLES: &str = "Examples:
  agentsight prices list
  agentsight prices list --model us.anthropic.claude-sonnet-4-5-20250929-v1:0
  agentsight prices set gpt-4o --prompt 2.5 --completion 10 --cache-read 1.25
  agentsight prices set 'my-model*' --prompt 1 --completion 2 --from 2026-03-01
  curl -sO https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json
  agentsight prices import model_prices_and_context_window.json";

/// Show and edit what models cost. Works while the server runs.
///
/// Prices are US dollars per million tokens and count for all agents of this installation. A model is found by its
/// exact id, else by the longest name with an asterisk behind it; before that its id loses what providers put around
/// it: openai/gpt-4o, us.anthropic.claude-sonnet-4-5-20250929-v1:0 and models/gemini-2.5-pro are found as gpt-4o,
/// claude-sonnet-4-5 and gemini-2.5-pro, unless there is a price of the longer name.
///
/// A price holds from a date on, until the next of the same model; usage is priced by the time at which its turn began.
/// After a change all stored usage is priced anew: by the server that runs, within moments, or by `prices reprice`.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PricesArgs {
    #[command(subcommand)]
    command: PricesCommand,
}

#[derive(Subcommand)]
enum PricesCommand {
    /// List all prices, or the one with which a model is priced
    List {
        /// Show what this model is priced with, whatever its id carries
        #[arg(long, value_name = "ID")]
        model: Option<String>,
        /// At which date or time; with --model [default: now]
        #[arg(long, value_name = "DATE", value_parser = moment, requires = "model")]
        at: Option<Timestamp>,
        #[command(flatten)]
        common: Common,
    },
    /// Set the price of a model, in US dollars per million tokens
    ///
    /// What is not given has no price: cache reads, cache writes and embedded text then cost what the prompt costs, and
    /// usage with output tokens stays without a cost. The price replaces one of the same model and date.
    Set {
        /// The model's id; with an asterisk at its end ('gpt-4o*') all that begin with it
        #[arg(value_name = "MODEL")]
        model: String,
        /// Input that was neither read from nor written to a cache
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = per_million)]
        prompt: Option<PerToken>,
        /// Output, reasoning included
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = per_million)]
        completion: Option<PerToken>,
        /// Embedded text
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = per_million)]
        embedding: Option<PerToken>,
        /// Input read from a cache
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = per_million)]
        cache_read: Option<PerToken>,
        /// Input written to a cache
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = per_million)]
        cache_write: Option<PerToken>,
        #[command(flatten)]
        validity: Validity,
        #[command(flatten)]
        common: Common,
    },
    /// Remove the prices of a model. A default that was removed does not come back with an upgrade.
    Remove {
        /// The model as `prices list` shows it
        #[arg(value_name = "MODEL")]
        model: String,
        /// Only the price that holds from this date on [default: all]
        #[arg(long, value_name = "DATE", value_parser = moment)]
        from: Option<Timestamp>,
        #[command(flatten)]
        common: Common,
    },
    /// Set many prices from a file in the form of LiteLLM's price list
    ///
    /// That is a JSON object by model: {"gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
    /// "cache_read_input_token_cost": 1.25e-06, "cache_creation_input_token_cost": 0, "mode": "chat"}, …}, in US dollars
    /// per token; with the mode "embedding", the input is embedded text. Entries without a price per token, and of kinds that
    /// are not counted in tokens alone (images, speech, rankings), are skipped and counted. Of prices by the length of a
    /// prompt (input_cost_per_token_above_200k_tokens) or by the time of day the usual one is taken. All of the file is taken, or nothing.
    Import {
        /// The file; - reads standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        validity: Validity,
        #[command(flatten)]
        common: Common,
    },
    /// Write the prices that hold at a date as such a file, to standard output
    Export {
        /// The date or time [default: now]
        #[arg(long, value_name = "DATE", value_parser = moment)]
        at: Option<Timestamp>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Price all stored usage anew, now
    ///
    /// A running server does this by itself after every change; an interrupted run is gone on with.
    Reprice {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Args)]
struct Validity {
    /// From which date or time on, in UTC: 2026-03-01, 2026-03-01T12:00:00Z [default: always, all past usage too]
    #[arg(long, value_name = "DATE", value_parser = moment)]
    from: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "Not a date or time, such as 2026-03-01 or 2026-03-01T12:00:00Z.".to_owned())
}

fn per_million(text: &str) -> Result<PerToken, String> {
    PerToken::per_million(text).map_err(|why| why.to_string())
}

pub(crate) fn run(args: &PricesArgs) -> Result<(), Failure> {
    let data = match &args.command {
        PricesCommand::List { common, .. }
        | PricesCommand::Set { common, .. }
        | PricesCommand::Remove { common, .. }
        | PricesCommand::Import { common, .. }
        | PricesCommand::Reprice { common } => &common.data,
        PricesCommand::Export { data, .. } => data,
    };
    let place = place(data)?;
    // Prices may be there before the first server is.
    let makes = matches!(args.command, PricesCommand::Set { .. } | PricesCommand::Import { .. });
    on_store(Place { bucket: None, ..place }, makes, async |store| run_on(store, &args.command).await)
}

async fn run_on(store: &Store, command: &PricesCommand) -> Result<(), Failure> {
    // A store that no server has opened yet.
    store.renew_default_prices().await?;
    match command {
        PricesCommand::List { model: Some(model), at, common } => {
            let at = at.unwrap_or_else(|| store.clock().now());
            let found = store.find_price(model.clone(), at).await?;
            let (name, rate) = found.ok_or_else(|| {
                Failure::Other(format!("no price is known for {model}; `agentsight prices set` adds one"))
            })?;
            if common.json {
                say!("{}", json!({ "model": name, "usd_per_million": rate }));
            } else {
                print(&[Row { model: &name, from: String::new(), rate, source: "" }]);
            }
        }
        PricesCommand::List { model: None, common, .. } => {
            let prices = store.all_prices().await?;
            if common.json {
                say!("{}", json!(prices));
            } else {
                print(&prices.iter().map(Row::of).collect::<Vec<_>>());
            }
        }
        PricesCommand::Set { model, prompt, completion, embedding, cache_read, cache_write, validity, common } => {
            let (prompt, completion, embedding) = (*prompt, *completion, *embedding);
            let rate = Rate { prompt, completion, embedding, cache_read: *cache_read, cache_write: *cache_write };
            let new =
                NewPrice::check(model, validity.from.unwrap_or(ALWAYS), rate).map_err(|refusal| explain(&refusal))?;
            let change = store.set_prices(vec![new]).await?;
            report(change, None, common.json);
        }
        PricesCommand::Remove { model, from, common } => {
            let model = model_key(model).map_err(|why| explain(&Refusal::field("model", why)))?;
            let removed = store.remove_prices(model.clone(), *from).await;
            let change = removed.map_err(|error| match error {
                Error::NotFound(Missing::Row) => {
                    Failure::Other(format!("there is no such price of {model}; `agentsight prices list` shows them"))
                }
                other => other.into(),
            })?;
            report(change, None, common.json);
        }
        PricesCommand::Import { file, validity, common } => {
            let text = read(file).map_err(|why| Failure::Other(format!("{}: {why}", file.display())))?;
            let list = PriceList::read(&text, validity.from.unwrap_or(ALWAYS)).map_err(|refusal| explain(&refusal))?;
            let change = store.set_prices(list.prices).await?;
            report(change, Some((list.without_price, list.other_kinds)), common.json);
        }
        PricesCommand::Export { at, .. } => {
            let at = at.unwrap_or_else(|| Clock::system().now());
            let prices = store.all_prices().await?;
            // Sorted by model and time: the last of a model that holds.
            let held: Vec<&Price> = prices.iter().filter(|price| price.valid_from <= at).collect();
            let last = held
                .iter()
                .enumerate()
                .filter(|(number, price)| held.get(number + 1).is_none_or(|next| next.model != price.model));
            out::write(format_args!("{}", PriceList::write(last.map(|(_, price)| *price))));
        }
        PricesCommand::Reprice { common } => {
            let mut progress = Progress::start();
            let done = store.restate(&mut progress).await;
            let is_stopped = agentsight_store::moving::Watch::is_stopped(&progress);
            progress.end();
            let rows = done?;
            if is_stopped {
                return Err(Failure::Other("stopped; a server, or the same command, goes on from here".to_owned()));
            }
            if common.json {
                say!("{}", json!({ "rows": rows }));
            } else {
                say!("Priced {rows} rows of usage.");
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let taken = if file == Path::new("-") {
        std::io::stdin().lock().take(PRICE_LIST_BYTES + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(PRICE_LIST_BYTES + 1).read_to_string(&mut text))
    };
    match taken {
        Ok(bytes) if bytes as u64 > PRICE_LIST_BYTES => Err(format!("more than {PRICE_LIST_BYTES} bytes")),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}

fn explain(refusal: &Refusal) -> Failure {
    Failure::Other(refusal.to_string())
}

/// Says what was done; of a list also how many entries have no price per token, and how many are of other kinds.
fn report(change: BookChange, skipped: Option<(usize, usize)>, as_json: bool) {
    let BookChange { added, changed, removed, unchanged } = change;
    if as_json {
        let mut answer: BTreeMap<_, _> =
            [("added", added), ("changed", changed), ("removed", removed), ("unchanged", unchanged)].into();
        answer.extend(skipped.map(|(without_price, other_kinds)| ("skipped", (without_price + other_kinds) as u64)));
        say!("{}", json!(answer));
    } else {
        let skipped = skipped.map_or_else(String::new, |(without_price, other_kinds)| {
            format!(
                "; skipped {without_price} without a price per token, {other_kinds} of images, speech and other kinds"
            )
        });
        say!("{added} added, {changed} changed, {removed} removed, {unchanged} unchanged{skipped}.");
    }
    if added + changed + removed > 0 {
        eprintln!("A running server prices stored usage anew now; without one, `agentsight prices reprice` does.");
    }
}

/// A line of the list.
struct Row<'p> {
    model: &'p str,
    from: String,
    rate: Rate,
    source: &'static str,
}

impl<'p> Row<'p> {
    fn of(price: &'p Price) -> Self {
        let from = match price.valid_from {
            ALWAYS => "always".to_owned(),
            at if at.0 % Timestamp::DAY == 0 => at.date(),
            at => at.to_string(),
        };
        Self { model: &price.model, from, rate: price.usd_per_million, source: price.source.as_str() }
    }
}

fn print(rows: &[Row<'_>]) {
    let width = rows.iter().map(|row| row.model.chars().count()).max().unwrap_or_default().max("MODEL".len());
    let price = |price: Option<PerToken>| price.map_or_else(|| "-".to_owned(), |price| price.to_string());
    let heads = ["PROMPT", "COMPLETION", "EMBEDDING", "CACHE READ", "CACHE WRITE"];
    let heads: String = heads.map(|head| format!("  {head:>11}")).concat();
    say!("{:<width$}  {:<20}{heads}  SOURCE", "MODEL", "FROM");
    for Row { model, from, rate, source } in rows {
        let Rate { prompt, completion, embedding, cache_read, cache_write } = *rate;
        let prices = [prompt, completion, embedding, cache_read, cache_write].map(|p| format!("  {:>11}", price(p)));
        say!("{model:<width$}  {from:<20}{}  {source}", prices.concat());
    }
}
