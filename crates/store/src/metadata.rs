//! Metadata of conversations, looked into: the index behind the `metadata` filter, and the lists of keys and values.

use agentsight_model::conversation::{MetadataKeys, MetadataValues};
use agentsight_model::ids::{AgentId, ConversationId};
use agentsight_model::json::JsonText;
use agentsight_model::limits::{METADATA_LIST, METADATA_LIST_CONVERSATIONS};
use agentsight_model::metadata::{entries, paths, sorted, values_at};

use crate::Store;
use crate::engine::{Table, Tx, params};
use crate::error::Result;

static CONVERSATION_METADATA: Table = Table {
    name: "conversation_metadata",
    columns: &["agent_id", "path", "form", "conversation"],
    on_conflict: "on conflict (agent_id, path, form, conversation) do nothing",
};

/// Indexes a document that replaces another.
pub(crate) fn replace(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    old: &JsonText,
    new: &JsonText,
) -> Result<()> {
    if !old.is_empty() {
        for (path, form) in entries(&old.to_value()) {
            tx.execute(
                "delete from conversation_metadata where agent_id = ?1 and path = ?2 and form = ?3 and conversation = ?4",
                params![agent, &path, &form, conversation],
            )?;
        }
    }
    if !new.is_empty() {
        for (path, form) in entries(&new.to_value()) {
            tx.insert(&CONVERSATION_METADATA, params![agent, &path, &form, conversation])?;
        }
    }
    Ok(())
}

const RECENT_METADATA: &str = "select metadata from conversations where agent_id = ?1 and is_deleted = 0 order by started_at desc, id desc limit ?2";
const RECENT_MESSAGE_METADATA: &str = "select m.metadata from messages m
    where m.agent_id = ?1 and m.metadata is not null and m.conversation in (
        select c.id from conversations c where c.agent_id = ?1 and c.is_deleted = 0 order by c.started_at desc, c.id desc limit ?2)";

impl Store {
    /// Keys in the metadata of the agent's recent conversations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn metadata_keys(&self, agent: AgentId) -> Result<MetadataKeys> {
        self.keys_of(agent, RECENT_METADATA).await
    }

    /// Keys in the metadata of the messages of the agent's recent conversations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn message_metadata_keys(&self, agent: AgentId) -> Result<MetadataKeys> {
        self.keys_of(agent, RECENT_MESSAGE_METADATA).await
    }

    async fn keys_of(&self, agent: AgentId, statement: &'static str) -> Result<MetadataKeys> {
        let read = move |reader: &crate::engine::Reader<'_>| {
            let mut keys = std::collections::HashSet::new();
            reader.each(statement, params![agent, i64::from(METADATA_LIST_CONVERSATIONS)], |row| {
                if row.opt_text(0)?.is_some() {
                    keys.extend(paths(&row.json(0)?.to_value()));
                }
                Ok(())
            })?;
            Ok(MetadataKeys { keys: sorted(keys.into_iter().collect(), METADATA_LIST) })
        };
        self.engine.read(read).await
    }

    /// Distinct values under one key, in the metadata of the agent's recent conversations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn metadata_values(&self, agent: AgentId, key: String) -> Result<MetadataValues> {
        let read = move |reader: &crate::engine::Reader<'_>| {
            let mut values = std::collections::BTreeSet::new();
            reader.each(RECENT_METADATA, params![agent, i64::from(METADATA_LIST_CONVERSATIONS)], |row| {
                if row.opt_text(0)?.is_some() {
                    let metadata = row.json(0)?.to_value();
                    values.extend(
                        values_at(&metadata, &key)
                            .into_iter()
                            .filter(|value| !value.is_null())
                            .map(ToString::to_string),
                    );
                }
                Ok(())
            })?;
            let values = values.into_iter().take(METADATA_LIST).filter_map(|text| JsonText::parse(text).ok()).collect();
            Ok(MetadataValues { key: key.clone(), values })
        };
        self.engine.read(read).await
    }
}
