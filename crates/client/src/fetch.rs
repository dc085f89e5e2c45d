//! Reading: one conversation, lists of them, their files.

use std::collections::HashSet;
use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll};

use agentsight_model::attachment::Attachment;
use agentsight_model::conversation::{Conversation, ConversationAttachments, ConversationRow, Lookup};
use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::OrderBy;
use agentsight_model::ids::{ConversationId, ConversationRef};
use agentsight_model::limits::PAGE_ROWS;
use agentsight_model::page::Paged;
use agentsight_model::time::Timestamp;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;

use crate::{AgentSight, Error, Result};

/// The list of conversations.
const LIST: &str = "/api/conversations/";

/// Downloads may take this many times as long as other requests.
const DOWNLOAD_PATIENCE: u32 = 3;

impl AgentSight {
    /// One whole conversation, by our integer or by the string that its sender gave it.
    ///
    /// Either way it is one request. By integer also conversations in the trash are found, and
    /// `tickets` and `token_usage` are filled; by string the answer is a row of the list, which has
    /// neither, as with the original SDK. A row holds the `id` for those who want them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Input`] for an empty name.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// let conversation = agentsight.fetch_conversation("conv-abc-123").await?;
    /// let the_same = agentsight.fetch_conversation(conversation.id).await?;
    /// for message in &the_same.messages {
    ///     println!("{} {}: {}", message.timestamp, message.sender.as_str(), message.content);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn fetch_conversation(&self, conversation: impl Into<ConversationRef>) -> Result<Conversation> {
        match conversation.into() {
            ConversationRef::Id(id) => self.answer(self.get(&format!("{LIST}{id}/"), &[])?).await,
            ConversationRef::Named(name) => {
                // A server takes an empty filter for none, and would answer with any conversation.
                if name.is_empty() {
                    return Err(Error::Input("the conversation's name is empty".to_owned()));
                }
                let page = self.fetch_conversations().conversation_id(&name).send().await?;
                page.results.into_iter().next().ok_or_else(|| Error::NotFound {
                    detail: format!("Conversation with conversation_id '{name}' not found"),
                })
            }
        }
    }

    /// The list of conversations, newest first. What is wanted is said on the answer; nothing is
    /// sent before [`Conversations::send`], [`Conversations::stream`] or their lean sisters.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::Sentiment;
    ///
    /// let page = agentsight
    ///     .fetch_conversations()
    ///     .feedback_sentiment(Sentiment::Negative)
    ///     .started_at_after("2026-03-01".parse::<agentsight::Timestamp>().unwrap())
    ///     .page_size(20)
    ///     .send()
    ///     .await?;
    /// println!("{} of {}", page.results.len(), page.count);
    /// # Ok(()) }
    /// ```
    pub fn fetch_conversations(&self) -> Conversations<Self> {
        Conversations::new(self.clone())
    }

    /// The files of a conversation, by message and all in a row. Their addresses are valid for one hour.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such conversation.
    pub async fn fetch_conversation_attachments(
        &self,
        conversation: impl Into<ConversationRef>,
    ) -> Result<ConversationAttachments> {
        let id = self.resolve(conversation.into()).await?;
        self.answer(self.get(&format!("{LIST}{id}/attachments/"), &[])?).await
    }

    /// The bytes of a file. The API key is not sent: the address is signed.
    ///
    /// # Errors
    /// [`Error::Forbidden`] once the address is older than an hour; fetch the conversation again then.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// for file in agentsight.fetch_conversation_attachments("conv-abc-123").await?.attachments {
    ///     println!("{}: {} bytes", file.filename, agentsight.download_attachment(&file).await?.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn download_attachment(&self, attachment: &Attachment) -> Result<Bytes> {
        let call = self.get_signed(&attachment.file_url)?.patient(DOWNLOAD_PATIENCE);
        self.send(call).await.map(|(_, bytes)| bytes)
    }

    /// Our integer of a conversation; a name costs one request.
    pub(crate) async fn resolve(&self, conversation: ConversationRef) -> Result<ConversationId> {
        match conversation {
            ConversationRef::Id(id) => Ok(id),
            ConversationRef::Named(name) => {
                let query = [("conversation_id".to_owned(), name)];
                let found: Lookup = self.answer(self.get(&format!("{LIST}lookup/"), &query)?).await?;
                Ok(found.id)
            }
        }
    }
}

/// Which conversations are wanted, and how. All that is given must hold.
///
/// Made by [`AgentSight::fetch_conversations`]; the type parameter is the client, async or blocking.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before send or stream"]
pub struct Conversations<C> {
    pub(crate) client: C,
    pub(crate) wanted: Wanted,
}

/// The parameters as they go into the address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    query: Vec<(String, String)>,
    metadata: Vec<(String, String)>,
    ordering: Vec<String>,
    page: Option<u32>,
    page_size: Option<u32>,
}

impl<C> Conversations<C> {
    pub(crate) fn new(client: C) -> Self {
        Self { client, wanted: Wanted::default() }
    }

    /// The sender's name, exact and case-sensitive.
    pub fn conversation_id(self, name: impl Into<String>) -> Self {
        self.param("conversation_id", name.into())
    }

    /// The end user, exact.
    pub fn customer_id(self, id: impl Into<String>) -> Self {
        self.param("customer_id", id.into())
    }

    /// The end user's id contains this, case ignored.
    pub fn customer_id_contains(self, part: impl Into<String>) -> Self {
        self.param("customer_id__icontains", part.into())
    }

    /// The end user's address, an IPv4 or IPv6 address in any spelling.
    pub fn customer_ip_address(self, address: impl Display) -> Self {
        self.param("customer_ip_address", address)
    }

    /// The title contains this, case ignored.
    pub fn name(self, part: impl Into<String>) -> Self {
        self.param("name", part.into())
    }

    /// The device, such as `mobile`.
    pub fn device(self, device: impl Into<String>) -> Self {
        self.param("device", device.into())
    }

    /// The language, as it was given.
    pub fn language(self, language: impl Into<String>) -> Self {
        self.param("language", language.into())
    }

    /// One environment by its slug; without this all of them.
    pub fn environment(self, slug: impl Into<String>) -> Self {
        self.param("environment", slug.into())
    }

    /// On the list of favourites, or not.
    pub fn is_marked(self, flag: bool) -> Self {
        self.param("is_marked", flag)
    }

    /// Those in the trash too.
    pub fn include_deleted(self, flag: bool) -> Self {
        self.param("include_deleted", flag)
    }

    /// Only those that have a ticket, and with their tickets.
    pub fn include_tickets(self, flag: bool) -> Self {
        self.param("include_tickets", flag)
    }

    /// At least one message, or none.
    pub fn has_messages(self, flag: bool) -> Self {
        self.param("has_messages", flag)
    }

    /// At least one action, or none.
    pub fn has_action(self, flag: bool) -> Self {
        self.param("has_action", flag)
    }

    /// The name of an action that ran in it contains this, case ignored.
    pub fn action_name(self, part: impl Into<String>) -> Self {
        self.param("action_name", part.into())
    }

    /// At least one feedback or vote, or none.
    pub fn has_feedback(self, flag: bool) -> Self {
        self.param("has_feedback", flag)
    }

    /// At least one feedback with this sentiment.
    pub fn feedback_sentiment(self, sentiment: Sentiment) -> Self {
        self.param("feedback_sentiment", sentiment.as_str())
    }

    /// At least one feedback from this source; with a sentiment, the same one.
    pub fn feedback_source(self, source: FeedbackSource) -> Self {
        self.param("feedback_source", source.as_str())
    }

    /// Some message contains this, case ignored.
    pub fn message_contains(self, part: impl Into<String>) -> Self {
        self.param("message_contains", part.into())
    }

    /// Each word occurs in the title, an id or a message, case ignored.
    pub fn search(self, words: impl Into<String>) -> Self {
        self.param("search", words.into())
    }

    /// The metadata hold this value. The key may be a dot path, `analysis.room_name`; may be called
    /// again for further keys.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.wanted.metadata.push((key.into(), value.to_string()));
        self
    }

    /// Begun then or later.
    pub fn started_at_after(self, at: impl Into<Timestamp>) -> Self {
        self.param("started_at_after", at.into())
    }

    /// Begun then or earlier.
    pub fn started_at_before(self, at: impl Into<Timestamp>) -> Self {
        self.param("started_at_before", at.into())
    }

    /// Smallest first by this; a further call breaks ties.
    pub fn order_by(mut self, by: OrderBy) -> Self {
        self.wanted.ordering.push(by.as_str().to_owned());
        self
    }

    /// Largest first by this; a further call breaks ties.
    pub fn order_by_descending(mut self, by: OrderBy) -> Self {
        self.wanted.ordering.push(format!("-{}", by.as_str()));
        self
    }

    /// Which page, from 1. A stream begins with it.
    pub fn page(mut self, number: u32) -> Self {
        self.wanted.page = Some(number);
        self
    }

    /// Rows of a page, 1 to 100. Default: the server's 10, and 100 in a stream.
    pub fn page_size(mut self, rows: u32) -> Self {
        self.wanted.page_size = Some(rows);
        self
    }

    /// Any other parameter of the API, as it goes into the address. A parameter that is given twice
    /// keeps its last value.
    pub fn param(mut self, name: impl Into<String>, value: impl Display) -> Self {
        let (name, value) = (name.into(), value.to_string());
        self.wanted.query.retain(|(given, _)| *given != name);
        self.wanted.query.push((name, value));
        self
    }
}

impl Conversations<AgentSight> {
    /// One page of whole conversations, transcripts included.
    ///
    /// # Errors
    /// [`Error::Validation`] for a value that the server does not take, [`Error::NotFound`] for a
    /// page past the last.
    pub async fn send(self) -> Result<Paged<Conversation>> {
        self.client.page(&self.wanted, Shape::Full).await
    }

    /// One page of rows without their transcripts.
    ///
    /// # Errors
    /// As [`Conversations::send`].
    pub async fn send_lean(self) -> Result<Paged<ConversationRow>> {
        self.client.page(&self.wanted, Shape::Lean).await
    }

    /// All whole conversations, page after page, each page asked for when it is needed.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// let mut marked = agentsight.fetch_conversations().is_marked(true).stream();
    /// while let Some(conversation) = marked.next().await {
    ///     println!("{}", conversation?.conversation_id);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn stream(self) -> Rows<Conversation> {
        self.walk(Shape::Full, |row: &Conversation| row.id.0)
    }

    /// All rows without their transcripts, page after page.
    pub fn stream_lean(self) -> Rows<ConversationRow> {
        self.walk(Shape::Lean, |row: &ConversationRow| row.id.0)
    }

    fn walk<T: DeserializeOwned + Send + 'static>(self, shape: Shape, id: fn(&T) -> i64) -> Rows<T> {
        let mut wanted = self.wanted;
        wanted.page_size = wanted.page_size.or(Some(PAGE_ROWS));
        let first = wanted.page.unwrap_or(1);
        let query = move |page| Wanted { page: Some(page), ..wanted.clone() }.query(shape);
        rows(self.client, LIST.to_owned(), first, Box::new(query), id)
    }
}

/// Whether rows carry their transcripts.
#[derive(Clone, Copy)]
enum Shape {
    /// The server's default for a key, and what the original SDK relies on.
    Full,
    Lean,
}

impl Wanted {
    fn query(&self, shape: Shape) -> Result<Vec<(String, String)>> {
        let mut query = self.query.clone();
        let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
        let mut list = Vec::new();
        let mut single = false;
        for (key, value) in &self.metadata {
            // Only a parameter of its own can say a comma, or a colon within a key; there is one.
            if !key.contains([',', ':']) && !value.contains(',') {
                list.push(format!("{key}:{value}"));
            } else if single {
                return Err(Error::Input("only one metadata filter may hold a comma or a colon in its key".to_owned()));
            } else {
                single = true;
                add("metadata_key", key.clone());
                add("metadata_value", value.clone());
            }
        }
        if !list.is_empty() {
            add("metadata", list.join(","));
        }
        if !self.ordering.is_empty() {
            add("ordering", self.ordering.join(","));
        }
        if let Some(page) = self.page {
            add("page", page.to_string());
        }
        if let Some(size) = self.page_size {
            add("page_size", size.to_string());
        }
        if matches!(shape, Shape::Lean) {
            add("full", "false".to_owned());
        }
        Ok(query)
    }
}

impl AgentSight {
    async fn page<T: DeserializeOwned>(&self, wanted: &Wanted, shape: Shape) -> Result<Paged<T>> {
        self.answer(self.get(LIST, &wanted.query(shape)?)?).await
    }
}

/// Rows of a list over all its pages: a [`Stream`], with a [`next`](Rows::next) of its own for
/// those who need no other method of streams. It ends after its first error.
#[must_use = "nothing is sent before the first row is asked for"]
pub struct Rows<T>(Pin<Box<dyn Stream<Item = Result<T>> + Send>>);

impl<T> Rows<T> {
    /// The next row; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.0.next().await
    }
}

impl<T> Stream for Rows<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> std::fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// The parameters of a page, by its number.
pub(crate) type PageQuery = Box<dyn Fn(u32) -> Result<Vec<(String, String)>> + Send>;

/// Where a walk over pages stands.
struct Walk<T> {
    client: AgentSight,
    path: String,
    query: PageQuery,
    /// The page to ask for; none when the last was given.
    next: Option<u32>,
    first: u32,
    /// Ids on the page before.
    given: HashSet<i64>,
    id: fn(&T) -> i64,
}

/// Rows of a list from page `first` on.
pub(crate) fn rows<T: DeserializeOwned + Send + 'static>(
    client: AgentSight,
    path: String,
    first: u32,
    query: PageQuery,
    id: fn(&T) -> i64,
) -> Rows<T> {
    let walk = Walk { client, path, query, next: Some(first), first, given: HashSet::new(), id };
    let pages = stream::try_unfold(walk, Walk::step);
    Rows(Box::pin(pages.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten()))
}

impl<T: DeserializeOwned> Walk<T> {
    async fn step(mut self) -> Result<Option<(Vec<T>, Self)>> {
        let Some(number) = self.next else { return Ok(None) };
        let call = self.client.get(&self.path, &(self.query)(number)?)?;
        let page: Paged<T> = match self.client.answer(call).await {
            // Rows that went away meanwhile took the last page with them.
            Err(Error::NotFound { .. }) if number > self.first => return Ok(None),
            answer => answer?,
        };
        // The number is counted, and `next` only looked at: the key follows no address of an answer.
        let more = page.next.is_some() && number < page.total_pages && !page.results.is_empty();
        self.next = if more { number.checked_add(1) } else { None };
        // A newcomer at the front pushes rows onto the next page, where they would be given again.
        let ids = page.results.iter().map(self.id).collect();
        let before = std::mem::replace(&mut self.given, ids);
        let rows = page.results.into_iter().filter(|row| !before.contains(&(self.id)(row))).collect();
        Ok(Some((rows, self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(conversations: &Conversations<()>) -> String {
        let query = conversations.wanted.query(Shape::Full).unwrap();
        query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn metadata_filters_share_one_parameter_where_they_can() {
        let base = Conversations::new(());
        assert_eq!(query(&base.clone().metadata("plan", "pro").metadata("n", 1)), "metadata=plan:pro,n:1");
        assert_eq!(query(&base.clone().metadata("url", "http://x")), "metadata=url:http://x");
        let comma = base.metadata("plan", "a,b").metadata("x", true);
        assert_eq!(query(&comma), "metadata_key=plan&metadata_value=a,b&metadata=x:true");
        assert!(comma.metadata("a:b", 1).wanted.query(Shape::Full).is_err());
    }

    #[test]
    fn a_parameter_given_twice_keeps_its_last_value() {
        let twice = Conversations::new(()).device("mobile").device("desktop").param("device", "tablet");
        assert_eq!(query(&twice), "device=tablet");
    }
}
