//! `agentsight fetch ID`: one whole conversation as JSON, over HTTP, as the SDKs fetch it.

use agentsight::{AgentSight, Conversation, ConversationRef, Error};
use clap::Args;

use crate::out::say;
use crate::{Failure, block_on};

#[derive(Args)]
pub(crate) struct FetchArgs {
    /// The conversation: its `conversation_id`, or the integer of the database
    ///
    /// Digits alone mean the integer, and the `conversation_id` where no integer matches; --by-name
    /// and --by-id say which.
    id: String,
    /// Indent the JSON
    #[arg(long)]
    pretty: bool,
    /// Take ID as the sender's conversation_id, digits or not
    #[arg(long, conflicts_with = "by_id")]
    by_name: bool,
    /// Take ID as the integer of the database
    #[arg(long)]
    by_id: bool,
    /// The server
    #[arg(long, env = "AGENTSIGHT_API_ENDPOINT", value_name = "URL", default_value = "https://api.agentsight.io")]
    endpoint: String,
    /// The key; better given as the variable, where other users of the machine cannot see it
    #[arg(long, env = "AGENTSIGHT_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<String>,
}

pub(crate) fn run(args: &FetchArgs) -> Result<(), Failure> {
    block_on(async {
        let Some(key) = &args.api_key else {
            return Err(Failure::Other(
                "no API key: set AGENTSIGHT_API_KEY (`agentsight key create` makes one)".to_owned(),
            ));
        };
        let client = AgentSight::builder().api_key(key).endpoint(&args.endpoint).build().map_err(explain)?;
        let conversation = fetch(&client, args).await.map_err(explain)?;
        let text = to_json(&conversation, args.pretty)?;
        say!("{text}");
        Ok(())
    })
}

async fn fetch(client: &AgentSight, args: &FetchArgs) -> Result<Conversation, Error> {
    let name = ConversationRef::Named(args.id.clone());
    if args.by_name {
        return client.fetch_conversation(name).await;
    }
    match args.id.parse::<i64>() {
        Ok(id) => match client.fetch_conversation(id).await {
            Err(Error::NotFound { .. }) if !args.by_id => client.fetch_conversation(name).await,
            other => other,
        },
        Err(_) if args.by_id => Err(Error::Input(format!("\"{}\" is not an integer", args.id))),
        Err(_) => client.fetch_conversation(name).await,
    }
}

pub(crate) fn to_json(conversation: &Conversation, pretty: bool) -> Result<String, Failure> {
    let written = if pretty { serde_json::to_string_pretty(conversation) } else { serde_json::to_string(conversation) };
    written.map_err(|e| Failure::Other(format!("the conversation cannot be written as JSON: {e}")))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn explain(error: Error) -> Failure {
    Failure::Other(error.to_string())
}
