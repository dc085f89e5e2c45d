//! Changing conversations that are there: mark, rename, update, delete (contract: managing §1).

use agentsight_model::ids::{AgentId, ConversationId};
use agentsight_model::manage::{ConversationUpdate, Deleted, Marked, Renamed, Updated};

use crate::conversation::{known_by_id, lock_by_id};
use crate::engine::{Tx, params};
use crate::error::{Error, Missing, Result};
use crate::{Store, counters, metadata, search};

/// What a small change weighs in the queue.
const CHANGE_BYTES: usize = 512;

fn name_of(tx: &Tx<'_>, agent: AgentId, id: ConversationId) -> Result<String> {
    lock_by_id(tx, agent, id)?;
    Ok(known_by_id(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))?.conversation_id)
}

impl Store {
    /// Puts a conversation on the list of favourites, or takes it off.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn mark_conversation(&self, agent: AgentId, id: ConversationId, is_marked: bool) -> Result<Marked> {
        let write = move |tx: &Tx<'_>| {
            let conversation_id = name_of(tx, agent, id)?;
            tx.execute(
                "update conversations set is_marked = ?3 where agent_id = ?1 and id = ?2",
                params![agent, id, is_marked],
            )?;
            Ok(Marked { id, conversation_id, is_marked })
        };
        self.engine.write(CHANGE_BYTES, write).await
    }

    /// Gives a conversation another display title.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn rename_conversation(&self, agent: AgentId, id: ConversationId, name: String) -> Result<Renamed> {
        let name = self.redacted(CHANGE_BYTES, name).await?;
        let write = move |tx: &Tx<'_>| {
            let conversation_id = name_of(tx, agent, id)?;
            tx.execute(
                "update conversations set name = ?3 where agent_id = ?1 and id = ?2",
                params![agent, id, &name],
            )?;
            search::leave_texts(tx, agent, id)?;
            Ok(Renamed { id, conversation_id, name: name.clone() })
        };
        self.engine.write(CHANGE_BYTES, write).await
    }

    /// Changes the fields that an update holds.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn update_conversation(
        &self,
        agent: AgentId,
        id: ConversationId,
        update: ConversationUpdate,
    ) -> Result<Updated> {
        const CURRENT_METADATA: &str = "select metadata from conversations where agent_id = ?1 and id = ?2";
        let bytes = CHANGE_BYTES + update.metadata.as_ref().map_or(0, |text| text.as_str().len());
        let update = self.redacted(bytes, update).await?;
        let write = move |tx: &Tx<'_>| {
            let conversation_id = name_of(tx, agent, id)?;
            if let Some(name) = &update.name {
                tx.execute(
                    "update conversations set name = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, name],
                )?;
            }
            if let Some(is_marked) = update.is_marked {
                tx.execute(
                    "update conversations set is_marked = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, is_marked],
                )?;
            }
            if let Some(customer_id) = &update.customer_id {
                tx.execute(
                    "update conversations set customer_id = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, customer_id.as_deref()],
                )?;
            }
            if let Some(device) = &update.device {
                tx.execute(
                    "update conversations set device = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, device.as_deref()],
                )?;
            }
            if let Some(language) = &update.language {
                tx.execute(
                    "update conversations set language = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, language.as_deref()],
                )?;
            }
            if let Some(new) = &update.metadata {
                let old = tx.one(CURRENT_METADATA, params![agent, id], |row| row.json(0))?.unwrap_or_default();
                metadata::replace(tx, agent, id, &old, new)?;
                tx.execute(
                    "update conversations set metadata = ?3 where agent_id = ?1 and id = ?2",
                    params![agent, id, new.stored()],
                )?;
            }
            if update.name.is_some() || update.customer_id.is_some() {
                search::leave_texts(tx, agent, id)?;
            }
            Ok(Updated::new(id, conversation_id, update.clone()))
        };
        self.engine.write(bytes, write).await
    }

    /// Puts a conversation in the trash: hidden from lists, still readable by id.
    ///
    /// # Errors
    /// [`Missing::UndeletedConversation`] when it is there already, or is none.
    pub async fn delete_conversation(&self, agent: AgentId, id: ConversationId) -> Result<Deleted> {
        let now = self.clock().now();
        let write = move |tx: &Tx<'_>| {
            let changed = tx.execute_counted(
                "update conversations set is_deleted = 1, deleted_at = ?3 where agent_id = ?1 and id = ?2 and is_deleted = 0",
                params![agent, id, now],
            )?;
            if changed == 0 {
                return Err(Error::NotFound(Missing::UndeletedConversation));
            }
            tx.add_to_total(agent, counters::DELETED, 1);
            Ok(Deleted { id, conversation_id: name_of(tx, agent, id)?, is_deleted: true, deleted_at: now })
        };
        self.engine.write(CHANGE_BYTES, write).await
    }
}
