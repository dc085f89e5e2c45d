//! `agentsight demo`: a server with a generated workspace, and one conversation fetched back.

mod scenarios;

use std::path::{Path, PathBuf};

use agentsight::{AgentSight, Conversation};
use agentsight_model::feedback::FeedbackSource;
use agentsight_model::ids::AgentId;
use agentsight_model::key::Role;
use agentsight_model::time::Timestamp;
use agentsight_server::{Server, ServerConfig};
use agentsight_store::{Store, StoreConfig};
use clap::Args;

use crate::config::LogFormat;
use crate::fetch::{explain, to_json};
use crate::out::say;
use crate::serve::{bind, reachable, stop};
use crate::{Failure, block_on, log};

/// The conversation that the tour fetches; the same in every demo.
const SEED: &str = "conv-abc-123";
/// The bot that the demo's conversations belong to.
const AGENT: &str = "demo-shop-bot";
/// Conversations written at once: each waits for its commits, and waits share them.
const AT_ONCE: usize = 32;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: std::net::SocketAddr,
    /// Keep the data in this folder; otherwise it is removed when the demo stops
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Conversations to make
    #[arg(long, value_name = "N", default_value_t = 300)]
    conversations: u64,
    /// Stop after the tour instead of serving on
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    log::start(LogFormat::Text, "warn");
    block_on(async {
        let temporary = args.data_dir.is_none();
        let folder = args
            .data_dir
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("agentsight-demo-{}", std::process::id())));
        let done = show(args, &folder).await;
        if temporary
            && folder.exists()
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            eprintln!("agentsight: {} was not removed: {error}", folder.display());
        }
        done
    })
}

async fn show(args: &DemoArgs, folder: &Path) -> Result<(), Failure> {
    let listener = bind(args.listen).await?;
    let address = listener.local_addr().map_err(|e| Failure::Other(format!("no address: {e}")))?;
    let store = Store::open(folder, &StoreConfig::default())?;
    let minted = store.mint_key(AGENT, Role::Write, Some("demo")).await?;
    if minted.agent_is_new {
        eprintln!("Making {} conversations of a shop's bot …", args.conversations + 1);
        fill(&store, minted.agent, args.conversations).await?;
    }
    let server = Server::new(store.clone(), ServerConfig::default()).await?;
    let (halt, halted) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async {
        let _ = halted.await;
    }));

    let endpoint = reachable(address);
    let key = minted.key.reveal();
    let toured = tour(&endpoint, key).await;
    if toured.is_ok() && !args.once {
        say!("\nServing on {endpoint} (documentation: {endpoint}/docs). Stop with Ctrl-C.");
        stop().await;
    }
    let _ = halt.send(());
    let _ = serving.await;
    store.close().await;
    toured
}

/// Fetches the seed conversation as a user would, and says how.
async fn tour(endpoint: &str, key: &str) -> Result<(), Failure> {
    let client = AgentSight::builder().api_key(key).endpoint(endpoint).build().map_err(explain)?;
    let conversation: Conversation = client.fetch_conversation(SEED).await.map_err(explain)?;
    say!("{}", to_json(&conversation, true)?);
    let program = std::env::current_exe().map_or_else(|_| "agentsight".to_owned(), |path| path.display().to_string());
    say!(
        "
That was fetch_conversation(\"{SEED}\"), {} messages whole with one call. The same from your side:

  export AGENTSIGHT_API_ENDPOINT={endpoint}
  export AGENTSIGHT_API_KEY={key}

  curl -H \"Authorization: Api-Key $AGENTSIGHT_API_KEY\" \"$AGENTSIGHT_API_ENDPOINT/api/conversations/{}/\"
  {program} fetch {SEED} --pretty
  python3 -c 'from agentsight import agentsight_api; print(agentsight_api.fetch_conversation(\"{SEED}\"))'   # pip install agentsight==0.0.44",
        conversation.messages.len(),
        conversation.id
    );
    Ok(())
}

async fn fill(store: &Store, agent: AgentId, conversations: u64) -> Result<(), Failure> {
    use futures_util::StreamExt as _;
    let now = store.clock().now();
    let others = (1..=conversations).filter_map(|number| scenarios::script(number, conversations, now));
    let scripts = std::iter::once(scenarios::seed(SEED, now)).chain(others);
    let mut writing =
        futures_util::stream::iter(scripts.map(|script| play(store, agent, script))).buffer_unordered(AT_ONCE);
    while let Some(done) = writing.next().await {
        done?;
    }
    Ok(())
}

async fn play(store: &Store, agent: AgentId, script: scenarios::Script) -> Result<(), Failure> {
    let conversation = store.upsert_conversation(agent, script.conversation).await?.value;
    for event in script.events {
        store.append(agent, event).await?;
    }
    if let Some(feedback) = script.feedback {
        store.record_feedback(agent, FeedbackSource::Customer, feedback).await?;
    }
    if script.is_marked {
        store.mark_conversation(agent, conversation.id, true).await?;
    }
    Ok(())
}

/// A duration in the demo's scripts.
const fn seconds(n: i64) -> i64 {
    n * Timestamp::SECOND
}
