//! Lists of conversations: filters, order, exact counts, pages (contract: reading §2).
//!
//! A list finds the ids of its page first, from an index that holds the columns of the common
//! filters, and reads rows for these alone.

use agentsight_model::conversation::{Conversation, ConversationRow};
use agentsight_model::filter::{ConversationFilter, Order, OrderBy, not_available};
use agentsight_model::ids::{AgentId, ConversationRef};
use agentsight_model::page::{Page, PageNumber};
use agentsight_model::refusal::Refusal;

use crate::conversation::{Fetched, Head, Part, assemble, fetch_unless_large, heads};
use crate::engine::Reader;
use crate::error::Result;
use crate::paging::{self, Conditions, Extent, Found, Listing, Owned};
use crate::search::{self, Within};
use crate::{Store, action, agent, counters, ticket};

fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &ConversationFilter, index: bool) -> Result<Conditions> {
    use Owned::{Int, Ints, Text};
    let mut all = Conditions::none();
    let equal = |all: &mut Conditions, column: &str, value: &Option<String>| {
        if let Some(value) = value {
            all.add(&format!("c.{column} = {{}}"), [Text(value.clone())]);
        }
    };
    equal(&mut all, "conversation_id", &filter.conversation_id);
    equal(&mut all, "customer_id", &filter.customer_id);
    equal(&mut all, "customer_ip_address", &filter.customer_ip_address.map(|ip| ip.to_string()));
    for (column, value) in [("device", &filter.device), ("language", &filter.language)] {
        if let Some(value) = value {
            all.add(&format!("lower(c.{column}) = {{}}"), [Text(value.to_ascii_lowercase())]);
        }
    }
    for slug in &filter.environments {
        let id = agent::find_environment(reader, agent, slug)?;
        let id = id.ok_or_else(|| Refusal::field("environment", not_available(slug)))?;
        all.add("c.environment_id = {}", [Int(id.0)]);
    }
    if let Some(flag) = filter.is_marked {
        all.add("c.is_marked = {}", [Int(flag.into())]);
    }
    for (column, flag) in [("message_count", filter.has_messages), ("action_log_count", filter.has_action)] {
        if let Some(flag) = flag {
            all.add(&format!("c.{column} {} 0", if flag { ">" } else { "=" }), []);
        }
    }
    if let Some(flag) = filter.has_feedback {
        all.add(
            &format!("c.conversation_feedback_count + c.message_feedback_count {} 0", if flag { ">" } else { "=" }),
            [],
        );
    }
    let feedback_source = filter.feedback_source.map(|source| Text(source.as_str().to_owned()));
    match (filter.feedback_sentiment.map(|sentiment| Text(sentiment.as_str().to_owned())), feedback_source) {
        (Some(sentiment), Some(source)) => {
            all.add("c.id in (select f.conversation from feedbacks f where f.agent_id = ?1 and f.sentiment = {} and f.source = {})", [sentiment, source]);
        }
        (Some(sentiment), None) => all.add(
            "c.id in (select f.conversation from feedbacks f where f.agent_id = ?1 and f.sentiment = {})",
            [sentiment],
        ),
        (None, Some(source)) => all
            .add("c.id in (select f.conversation from feedbacks f where f.agent_id = ?1 and f.source = {})", [source]),
        (None, None) => {}
    }
    all.between("c.started_at", filter.started_at_after, filter.started_at_before);
    for term in &filter.metadata {
        let marks = vec!["{}"; term.forms.len()].join(", ");
        let forms = term.forms.iter().map(|form| Text(form.clone()));
        let condition = format!(
            "c.id in (select m.conversation from conversation_metadata m where m.agent_id = ?1 and m.path = {{}} and m.form in ({marks}))"
        );
        all.add(&condition, std::iter::once(Text(term.path.clone())).chain(forms));
    }
    if let Some(name) = &filter.action_name {
        let called = action::called(reader, agent, name)?;
        let mut runs =
            "select l.conversation from action_logs l where l.agent_id = ?1 and l.action in (select value from rarray({}))"
                .to_owned();
        let mut params = vec![Ints(called.now)];
        if !called.formerly.is_empty() {
            let marks = vec!["{}"; called.former_names.len()].join(", ");
            runs.push_str(&format!(
                " union all select l.conversation from action_logs l
                    join messages m on m.agent_id = l.agent_id and m.id = l.message
                    where l.agent_id = ?1 and l.action in (select value from rarray({{}})) and m.action_name in ({marks})"
            ));
            params.push(Ints(called.formerly));
            params.extend(called.former_names.into_iter().map(Text));
        }
        all.add(&format!("c.id in ({runs})"), params);
    }
    if filter.include_tickets {
        all.add("c.ticket_count > 0", []);
    }
    for (text, within) in [
        (&filter.name, Within::Name),
        (&filter.customer_id_contains, Within::CustomerId),
        (&filter.message_contains, Within::Messages),
    ] {
        if let Some(text) = text {
            let ids = search::conversations_with(reader, agent, text, within, index)?;
            all.only("c.id", ids);
        }
    }
    for word in &filter.search {
        let ids = search::conversations_with(reader, agent, word, Within::Anything, index)?;
        all.only("c.id", ids);
    }
    if !filter.include_deleted {
        let plain = all.plain;
        all.add("c.is_deleted = 0", []);
        all.plain = plain;
    }
    Ok(all)
}

fn order_by(keys: &[Order]) -> String {
    const NEWEST: Order = Order { by: OrderBy::StartedAt, descending: true };
    let keys = if keys.is_empty() { &[NEWEST] } else { keys };
    let mut parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let column = match key.by {
                OrderBy::StartedAt => "started_at",
                OrderBy::EndedAt => "ended_at",
                OrderBy::Id => "id",
                OrderBy::CustomerId => "customer_id",
                OrderBy::IsMarked => "is_marked",
                OrderBy::Language => "language",
            };
            // Where nothing is said of it, engines disagree on where null stands.
            let nulls = if matches!(key.by, OrderBy::CustomerId | OrderBy::Language) { " nulls last" } else { "" };
            format!("c.{column} {}{nulls}", if key.descending { "desc" } else { "asc" })
        })
        .collect();
    if !keys.iter().any(|key| key.by == OrderBy::Id) {
        let descending = keys.first().is_some_and(|key| key.descending);
        parts.push(format!("c.id {}", if descending { "desc" } else { "asc" }));
    }
    parts.join(", ")
}

/// Rows that match: known from the totals, or counted.
fn count_matching(
    reader: &Reader<'_>,
    agent: AgentId,
    filter: &ConversationFilter,
    conditions: &Conditions,
) -> Result<u64> {
    if conditions.plain {
        let all = counters::get(reader, agent, counters::CONVERSATIONS)?;
        let trash = if filter.include_deleted { 0 } else { counters::get(reader, agent, counters::DELETED)? };
        return Ok(all.saturating_sub(trash));
    }
    LIST.count(reader, agent, conditions)
}

const LIST: Listing = Listing { from: "conversations c", alias: "c", total: None };

fn find(
    reader: &Reader<'_>,
    agent: AgentId,
    filter: &ConversationFilter,
    extent: Extent,
    index: bool,
) -> Result<Found<Head>> {
    let conditions = conditions(reader, agent, filter, index)?;
    let total = || count_matching(reader, agent, filter, &conditions);
    let order = order_by(&filter.ordering);
    let ids = |offset, limit| LIST.ids(reader, agent, &conditions, &order, paging::bounds(offset, limit));
    let found = paging::page(extent, total, ids)?;
    Ok(Found { count: found.count, page: found.page, rows: heads(reader, agent, &found.rows)? })
}

/// Whether a filter leads to one conversation at most, without a search.
fn names_one(filter: &ConversationFilter) -> bool {
    let texts = [&filter.name, &filter.customer_id_contains, &filter.message_contains];
    filter.conversation_id.is_some() && filter.search.is_empty() && texts.iter().all(|text| text.is_none())
}

/// The name of the conversation that a filter asks for, where it asks for nothing else.
fn names_only(filter: &ConversationFilter) -> Option<&str> {
    let bare = ConversationFilter {
        conversation_id: filter.conversation_id.clone(),
        include_deleted: filter.include_deleted,
        ordering: filter.ordering.clone(),
        ..ConversationFilter::default()
    };
    filter.conversation_id.as_deref().filter(|_| *filter == bare)
}

/// A list of one conversation, or of none; nothing where it is large.
fn fetch_named(reader: &Reader<'_>, agent: AgentId, name: &str, deleted: bool) -> Result<Option<Found<Conversation>>> {
    let which = ConversationRef::Named(name.to_owned());
    let rows = match fetch_unless_large(reader, agent, &which, &Part::OF_LISTS)? {
        Some(Fetched::Large) => return Ok(None),
        Some(Fetched::Whole(one)) if deleted || !one.is_deleted => vec![*one],
        Some(Fetched::Whole(_)) | None => Vec::new(),
    };
    Ok(Some(Found { count: rows.len() as u64, page: 1, rows }))
}

impl Store {
    /// Whole conversations that match, as one page or all. `tickets` are there where the filter asks for them.
    ///
    /// # Errors
    /// [`Missing::Page`], an environment that the agent does not have, a query that takes too long.
    pub async fn list_conversations(
        &self,
        agent: AgentId,
        filter: ConversationFilter,
        extent: Extent,
    ) -> Result<Found<Conversation>> {
        let index = self.shared.search_index;
        if names_one(&filter) && !filter.include_tickets {
            // `fetch_conversation("name")` of the SDKs: as quick as by the integer.
            let wanted = filter.clone();
            let read = move |reader: &Reader<'_>| {
                if let (Some(name), Extent::Page(Page { number: PageNumber::At(1), .. }) | Extent::Everything) =
                    (names_only(&wanted), extent)
                {
                    return fetch_named(reader, agent, name, wanted.include_deleted);
                }
                let found = find(reader, agent, &wanted, extent, index)?;
                if found.rows.iter().any(Head::is_large) {
                    return Ok(None);
                }
                let rows = assemble(reader, agent, found.rows)?;
                Ok(Some(Found { count: found.count, page: found.page, rows }))
            };
            let found = self.engine.read_now(read).await?;
            if let Some(mut found) = found {
                found.rows.iter_mut().for_each(|row| (row.tickets, row.token_usage) = (None, None));
                return Ok(found);
            }
        }
        let read = move |reader: &Reader<'_>| {
            let found = find(reader, agent, &filter, extent, index)?;
            let mut rows = assemble(reader, agent, found.rows)?;
            if !filter.include_tickets {
                rows.iter_mut().for_each(|row| row.tickets = None);
            }
            Ok(Found { count: found.count, page: found.page, rows })
        };
        self.engine.read(read).await
    }

    /// The same without transcripts.
    ///
    /// # Errors
    /// As [`Store::list_conversations`].
    pub async fn list_conversation_rows(
        &self,
        agent: AgentId,
        filter: ConversationFilter,
        extent: Extent,
    ) -> Result<Found<ConversationRow>> {
        let index = self.shared.search_index;
        let read = move |reader: &Reader<'_>| {
            let found = find(reader, agent, &filter, extent, index)?;
            let mut rows: Vec<ConversationRow> = found.rows.into_iter().map(|head| head.row).collect();
            if filter.include_tickets {
                let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
                let mut tickets = ticket::of_conversations(reader, agent, &ids)?;
                rows.iter_mut().for_each(|row| row.tickets = tickets.remove(&row.id.0));
            }
            Ok(Found { count: found.count, page: found.page, rows })
        };
        self.engine.read(read).await
    }
}
