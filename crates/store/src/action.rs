//! Actions as definitions, and their runs (contract: managing §5, reading §9).

use agentsight_model::action::{Action, ActionFilter, ActionLog};
use agentsight_model::ids::{ActionId, AgentId};
use agentsight_model::limits::{UNPAGED_BYTES, UNPAGED_ROWS};
use agentsight_model::manage::action::{ActionChange, NewActionDefinition, name_is_taken};
use agentsight_model::text::Needle;

use crate::Store;
use crate::engine::{Param, Reader, Row, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::ids::Kind;
use crate::message::{ACTIONS, action_log};
use crate::paging::{self, Conditions, Extent, Found, Listing, Owned};

static FORMER_NAMES: Table = Table {
    name: "former_action_names",
    columns: &["agent_id", "action", "name"],
    on_conflict: "on conflict do nothing",
};

/// From `id, name, display_name, description`.
fn action(agent: AgentId, row: &Row<'_>) -> Result<Action> {
    Ok(Action {
        id: ActionId(row.int(0)?),
        name: row.string(1)?,
        display_name: row.string(2)?,
        description: row.string(3)?,
        agent,
    })
}

fn find(reader: &Reader<'_>, agent: AgentId, id: ActionId) -> Result<Action> {
    const BY_ID: &str = "select id, name, display_name, description from actions where agent_id = ?1 and id = ?2";
    reader.one(BY_ID, params![agent, id], |row| action(agent, row))?.ok_or(Error::NotFound(Missing::Row))
}

/// The action that has a name.
fn named(reader: &Reader<'_>, agent: AgentId, name: &str) -> Result<Option<ActionId>> {
    const BY_NAME: &str = "select id from actions where agent_id = ?1 and name = ?2";
    reader.one(BY_NAME, params![agent, name], |row| row.int(0).map(ActionId))
}

/// Actions that are, or were, called something.
pub(crate) struct Called {
    /// Actions that are called so now.
    pub(crate) now: Vec<i64>,
    /// Actions that were called so, which their earlier messages still show.
    pub(crate) formerly: Vec<i64>,
    /// The names that they had.
    pub(crate) former_names: Vec<String>,
}

/// Actions whose name, present or former, holds the text, case ignored.
pub(crate) fn called(reader: &Reader<'_>, agent: AgentId, text: &str) -> Result<Called> {
    const NAMES: &str = "select id, name from actions where agent_id = ?1";
    const FORMER: &str = "select action, name from former_action_names where agent_id = ?1";
    let needle = Needle::new(text);
    let mut called = Called { now: Vec::new(), formerly: Vec::new(), former_names: Vec::new() };
    reader.each(NAMES, params![agent], |row| {
        if needle.is_in(row.text(1)?) {
            called.now.push(row.int(0)?);
        }
        Ok(())
    })?;
    reader.each(FORMER, params![agent], |row| {
        if needle.is_in(row.text(1)?) {
            called.formerly.push(row.int(0)?);
            called.former_names.push(row.string(1)?);
        }
        Ok(())
    })?;
    Ok(called)
}

const LIST: Listing = Listing { from: "actions a", alias: "a", total: None };

/// An agent has a handful of actions: texts are compared row by row.
fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &ActionFilter) -> Result<Conditions> {
    const TEXTS: &str = "select id, name, display_name, description from actions where agent_id = ?1";
    let mut all = Conditions::none();
    if let Some(name) = &filter.name {
        all.add("a.name = {}", [Owned::Text(name.clone())]);
    }
    let in_name = filter.name_contains.as_deref().map(Needle::new);
    let in_label = filter.display_name.as_deref().map(Needle::new);
    let words: Vec<Needle> = filter.search.iter().map(|word| Needle::new(word)).collect();
    if in_name.is_some() || in_label.is_some() || !words.is_empty() {
        let mut ids = Vec::new();
        reader.each(TEXTS, params![agent], |row| {
            let texts = [row.text(1)?, row.text(2)?, row.text(3)?];
            let [name, label, _] = texts;
            if in_name.as_ref().is_none_or(|needle| needle.is_in(name))
                && in_label.as_ref().is_none_or(|needle| needle.is_in(label))
                && words.iter().all(|word| texts.iter().any(|text| word.is_in(text)))
            {
                ids.push(row.int(0)?);
            }
            Ok(())
        })?;
        all.only("a.id", ids);
    }
    Ok(all)
}

impl Store {
    /// Defines an action before it runs for the first time.
    ///
    /// # Errors
    /// A refusal where the agent has an action of that name.
    pub async fn create_action(&self, agent: AgentId, new: NewActionDefinition) -> Result<Action> {
        let bytes = 256 + new.description.len();
        let new = self.redacted(bytes, new).await?;
        let write = move |tx: &Tx<'_>| {
            if named(tx, agent, &new.name)?.is_some() {
                return Err(name_is_taken(&new.name).into());
            }
            let id = ActionId(tx.next_id(Kind::Action)?);
            tx.insert(&ACTIONS, params![agent, id, &new.name, &new.display_name, &new.description])?;
            // Another node may have been quicker.
            if named(tx, agent, &new.name)? != Some(id) {
                return Err(name_is_taken(&new.name).into());
            }
            find(tx, agent, id)
        };
        self.engine.write(bytes, write).await
    }

    /// Changes the name or the labels of an action. Messages keep the name under which they were written, and are found
    /// by both.
    ///
    /// # Errors
    /// [`Missing::Row`]; a refusal where another action has that name.
    pub async fn update_action(&self, agent: AgentId, id: ActionId, change: ActionChange) -> Result<Action> {
        const UPDATE: &str = "update actions set name = coalesce(?3, name), display_name = coalesce(?4, display_name),
            description = coalesce(?5, description) where agent_id = ?1 and id = ?2";
        let bytes = 256 + change.description.as_deref().map_or(0, str::len);
        let change = self.redacted(bytes, change).await?;
        let write = move |tx: &Tx<'_>| {
            let before = find(tx, agent, id)?;
            if let Some(name) = &change.name
                && named(tx, agent, name)?.is_some_and(|holder| holder != id)
            {
                return Err(name_is_taken(name).into());
            }
            if change.name.as_ref().is_some_and(|name| *name != before.name) {
                tx.insert(&FORMER_NAMES, params![agent, id, &before.name])?;
            }
            // A name that another node takes meanwhile is a collision, after which this runs again and sees it.
            let (name, label) = (change.name.as_deref(), change.display_name.as_deref());
            tx.execute(UPDATE, params![agent, id, name, label, change.description.as_deref()])?;
            find(tx, agent, id)
        };
        self.engine.write(bytes, write).await
    }

    /// One action.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn fetch_action(&self, agent: AgentId, id: ActionId) -> Result<Action> {
        self.engine.read_now(move |reader| find(reader, agent, id)).await
    }

    /// Actions that match, by id.
    ///
    /// # Errors
    /// [`Missing::Page`]
    pub async fn list_actions(&self, agent: AgentId, filter: ActionFilter, extent: Extent) -> Result<Found<Action>> {
        const ROWS: &str = "select id, name, display_name, description from actions
            where agent_id = ?1 and id in (select value from rarray(?2))";
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let order = paging::sorted(&filter.ordering.or(("id", false)), |column| format!("a.{column}"));
            let found = LIST.page(reader, agent, &conditions, &order, extent)?;
            let rows = reader.all(ROWS, &[agent.into(), Param::Ints(&found.rows)], |row| action(agent, row))?;
            let rows = paging::in_order(&found.rows, rows, |action| action.id.0);
            Ok(Found { count: found.count, page: found.page, rows })
        };
        self.engine.read(read).await
    }

    /// Runs of an action, newest first, without those of conversations in the trash; and whether there are more
    /// than one answer holds.
    ///
    /// # Errors
    /// [`Missing::Row`] when there is no such action, a query that takes too long.
    pub async fn list_action_logs(&self, agent: AgentId, id: ActionId) -> Result<(Vec<ActionLog>, bool)> {
        const LOGS: &str = "select l.message, l.id, l.action, l.started_at, l.ended_at, l.duration_ms, l.tools_used, l.response, l.error_message, l.metadata
            from action_logs l join conversations c on c.agent_id = l.agent_id and c.id = l.conversation and c.is_deleted = 0
            where l.agent_id = ?1 and l.action = ?2 order by l.started_at is null, l.started_at desc, l.id desc limit ?3";
        let read = move |reader: &Reader<'_>| {
            find(reader, agent, id)?;
            let (mut logs, mut bytes, mut cut) = (Vec::new(), 0, false);
            reader.each(LOGS, params![agent, id, UNPAGED_ROWS as i64 + 1], |row| {
                cut |= logs.len() as u64 >= UNPAGED_ROWS || bytes > UNPAGED_BYTES;
                if !cut {
                    let log = action_log(row, 0)?;
                    bytes += log.response.len() + log.error_message.len();
                    bytes += log.tools_used.as_str().len() + log.metadata.as_str().len();
                    logs.push(log);
                }
                Ok(())
            })?;
            Ok((logs, cut))
        };
        self.engine.read(read).await
    }
}
