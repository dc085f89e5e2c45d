//! Agents, their environments and keys, and that no agent reaches another's rows.

use agentsight_model::feedback::FeedbackSource;
use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::{AgentId, ConversationId, EnvironmentId, KeyId, MessageId};
use agentsight_model::key::{ApiKey, Role};
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::track::Target;
use agentsight_store::{Identity, Missing, Part};
use serde_json::json;

use crate::world::{World, all, event, feedback, files, json, keyed, missing, refused, said};

pub(crate) async fn a_minted_key_speaks_for_its_agent(world: World) {
    let store = &world.store;

    let write = store.mint_key(" helpdesk ", Role::Write, Some("ci")).await.unwrap();
    let read = store.mint_key("helpdesk", Role::Read, None).await.unwrap();
    let other = store.mint_key("sales", Role::Write, None).await.unwrap();

    assert_eq!((write.agent_is_new, read.agent_is_new, other.agent_is_new), (true, false, true));
    assert_eq!((write.agent, read.agent, other.agent), (AgentId(1), AgentId(1), AgentId(2)));
    let identity = Identity {
        agent: AgentId(1),
        key: KeyId(1),
        role: Role::Write,
        name: Some("ci".to_owned()),
        expires_at: None,
        revoked: false,
    };
    assert_eq!(store.identify(&write.key.hash()).await.unwrap(), Some(identity));
    assert_eq!(store.identify(&read.key.hash()).await.unwrap().unwrap().role, Role::Read);
    assert_eq!(store.identify(&ApiKey::from_random([7; 16]).hash()).await.unwrap(), None);
    let keys = store.list_keys().await.unwrap();
    let listed: Vec<_> = keys.iter().map(|key| (key.id.0, key.agent.as_str(), key.name.as_deref())).collect();
    assert_eq!(listed, [(1, "helpdesk", Some("ci")), (2, "helpdesk", None), (3, "sales", None)]);
    assert_eq!(keys[0].hint, write.key.hint());
}

pub(crate) async fn a_revoked_key_stays_revoked(world: World) {
    let minted = world.store.mint_key("helpdesk", Role::Write, None).await.unwrap();
    world.store.revoke_key(KeyId(1)).await.unwrap();
    let first = world.store.list_keys().await.unwrap();
    world.clock.advance_micros(5);
    world.store.revoke_key(KeyId(1)).await.unwrap();

    assert!(world.store.identify(&minted.key.hash()).await.unwrap().unwrap().revoked);
    assert_eq!(world.store.list_keys().await.unwrap(), first);
    assert_eq!(missing(world.store.revoke_key(KeyId(99)).await), Missing::Row);
}

pub(crate) async fn a_key_belongs_to_one_agent_for_good(world: World) {
    let key = ApiKey::from_random([3; 16]);
    let add = |agent: &'static str| world.store.add_key(key.clone(), agent, Role::Write, None);
    add("helpdesk").await.unwrap();

    let again = add("helpdesk").await.unwrap();
    let elsewhere = add("sales").await;

    assert_eq!((again.agent, again.agent_is_new), (AgentId(1), false));
    assert_eq!(refused(elsewhere), json!({"key": ["This key belongs to another agent."]}));
    assert_eq!(world.store.list_keys().await.unwrap().len(), 1);
    assert_eq!(world.bot("sales").await.agent, AgentId(2));
}

pub(crate) async fn a_bootstrap_key_is_taken_by_an_empty_store_alone(world: World) {
    let (first, second) = (ApiKey::from_random([1; 16]), ApiKey::from_random([2; 16]));

    assert!(world.store.bootstrap_key(first.clone()).await.unwrap());
    assert!(!world.store.bootstrap_key(second.clone()).await.unwrap());
    assert!(!world.store.bootstrap_key(first.clone()).await.unwrap());

    let identity = world.store.identify(&first.hash()).await.unwrap().unwrap();
    assert_eq!((identity.role, identity.name.as_deref()), (Role::Write, Some("bootstrap")));
    assert_eq!(world.store.me(&identity).await.unwrap().agent_name, "default");
    assert_eq!(world.store.identify(&second.hash()).await.unwrap(), None);
}

pub(crate) async fn an_agent_begins_with_two_environments(world: World) {
    let bot = world.bot("helpdesk").await;
    let minted = world.store.mint_key("helpdesk", Role::Read, None).await.unwrap();
    bot.store.add_environment(bot.agent, " Staging  EU ", false).await.unwrap();

    let identity = world.store.identify(&minted.key.hash()).await.unwrap().unwrap();
    let me = json(&world.store.me(&identity).await.unwrap());

    let environment = |id: i64, slug: &str, name: &str, is_production: bool| {
        let at = "2026-03-02T09:15:00Z";
        json!({"id": id, "slug": slug, "name": name, "is_production": is_production, "created_at": at, "updated_at": at})
    };
    assert_eq!(
        me,
        json!({
            "agent_id": 1, "agent_name": "helpdesk", "role": "read", "capabilities": ["gzip-ingest"],
            "environments": [
                environment(1, "production", "Production", true),
                environment(2, "development", "Development", false),
                environment(3, "staging-eu", "Staging  EU", false),
            ],
        })
    );
}

pub(crate) async fn names_of_agents_and_environments_are_checked(world: World) {
    let bot = world.bot("helpdesk").await;
    let long = "x".repeat(256);
    for name in ["", "  ", &long] {
        let text = "An agent needs a name of 1 to 255 characters.";
        assert_eq!(refused(world.store.mint_key(name, Role::Read, None).await), json!({"agent": [text]}));
    }
    let twice = bot.store.add_environment(bot.agent, "PRODUCTION", true).await;
    assert_eq!(refused(twice), json!({"name": ["An environment \"production\" already exists."]}));
    let alias = bot.store.add_environment(bot.agent, "Dev", false).await;
    assert_eq!(refused(alias), json!({"name": ["An environment \"development\" already exists."]}));
    let endless = bot.store.add_environment(bot.agent, &long, true).await;
    assert_eq!(refused(endless), json!({"name": ["Ensure this field has no more than 255 characters."]}));
    let blank = bot.store.add_environment(bot.agent, " ", true).await;
    assert_eq!(refused(blank), json!({"name": ["This field may not be blank."]}));
    assert_eq!(missing(bot.store.set_cumulative_token_counters(AgentId(77), true).await), Missing::Row);
}

pub(crate) async fn environments_of_all_agents_are_listed(world: World) {
    let (helpdesk, sales) = (world.bot("helpdesk").await, world.bot("sales").await);
    sales.store.add_environment(sales.agent, "Staging", true).await.unwrap();

    let all = world.store.list_environments().await.unwrap();

    let shown: Vec<_> = all.iter().map(|(agent, row)| (agent.as_str(), row.slug.as_str(), row.is_production)).collect();
    assert_eq!(
        shown,
        [
            ("helpdesk", "production", true),
            ("helpdesk", "development", false),
            ("sales", "production", true),
            ("sales", "development", false),
            ("sales", "staging", true),
        ]
    );
    assert_eq!(world.store.find_agent(" sales ").await.unwrap(), Some(sales.agent));
    assert_eq!(world.store.find_agent("helpdesk").await.unwrap(), Some(helpdesk.agent));
    assert_eq!(world.store.find_agent("nobody").await.unwrap(), None);
}

pub(crate) async fn another_agents_rows_are_not_there(world: World) {
    let (owner, stranger) = (world.bot("helpdesk").await, world.bot("sales").await);
    let (store, them) = (&world.store, stranger.agent);
    let message = owner.hears("c", 1, "secret").await;
    let file = owner.receives(event(keyed(message.conversation), 2, files(None, &[("a", "b/c", b"d")]))).await;
    let before = owner.fetch("c").await;
    let id = message.conversation;
    let nothing = ConversationUpdate { is_marked: Some(true), ..ConversationUpdate::default() };

    assert_eq!(missing(store.fetch_conversation(them, id.into()).await), Missing::Row);
    assert_eq!(missing(store.fetch_conversation(them, "c".into()).await), Missing::Row);
    assert_eq!(missing(store.fetch_message(them, message.id).await), Missing::Row);
    assert_eq!(missing(store.conversation_attachments(them, id).await), Missing::Row);
    assert_eq!(missing(store.fetch_file(them, id, file.id, Part::Whole).await.map(|file| file.filename)), Missing::Row);
    assert_eq!(missing(store.lookup(them, "c").await), Missing::Conversation);
    assert_eq!(missing(store.mark_conversation(them, id, true).await), Missing::Row);
    assert_eq!(missing(store.rename_conversation(them, id, "mine".to_owned()).await), Missing::Row);
    assert_eq!(missing(store.update_conversation(them, id, nothing).await), Missing::Row);
    assert_eq!(missing(store.delete_conversation(them, id).await), Missing::UndeletedConversation);
    assert_eq!(missing(store.append(them, event(keyed(id), 3, said("x"))).await), Missing::Conversation);
    let onto = event(Target { id: None, name: None }, 3, files(Some(message.id), &[("a", "b/c", b"d")]));
    assert_eq!(missing(store.append(them, onto).await), Missing::Message(message.id.0));
    let opinion = store.record_feedback(them, FeedbackSource::Customer, feedback(keyed(id))).await;
    assert_eq!(missing(opinion), Missing::Conversation);
    assert_eq!(stranger.list(ConversationFilter { include_deleted: true, ..all() }).await, [""; 0]);
    assert_eq!(store.metadata_keys(them).await.unwrap().keys, [""; 0]);

    assert_eq!(owner.fetch("c").await, before);
    let own = stranger.hears("c", 5, "mine").await;
    assert_eq!((own.conversation, own.id), (ConversationId(2), MessageId(3)));
    assert_eq!(stranger.fields("c", ["environment_id"]).await, [json!(EnvironmentId(3))]);
    assert_eq!(owner.fetch("c").await, before);
}
