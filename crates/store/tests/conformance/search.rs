//! Substring search: case ignored, in any script, with the index or without.

use agentsight_model::filter::ConversationFilter;
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::track::NewConversation;

use crate::world::{Bot, World, all, conversation};

const TEXTS: [(&str, &str); 14] = [
    ("latin", "I want a REFUND, please"),
    ("croatian", "Šime želi ČEKATI"),
    ("greek", "ΟΔΟΣ Αθηνών"),
    ("cyrillic", "Где Посылка?"),
    ("chinese", "我要退款"),
    ("arabic", "أين الطرد"),
    ("turkish", "İstanbul"),
    ("emoji", "so 😀🎉!"),
    ("wild", "100%_ sure* \"quoted\" 'single' \\back"),
    ("lines", "first\nsecond\tthird\r\nx\u{1}y\u{7f}z"),
    ("short", "ab"),
    ("letter", "q"),
    ("json", r#"{"key": [1, 2]} AND OR NOT NEAR(a b)"#),
    ("long", "the quick brown fox jumps over the lazy dog and then rests for quite a while in the shade"),
];

const QUERIES: [(&str, &[&str]); 44] = [
    ("refund", &["latin"]),
    ("Refund, PLEASE", &["latin"]),
    ("refunds", &[]),
    ("šime", &["croatian"]),
    ("ŽELI", &["croatian"]),
    ("sime", &[]),
    ("οδός", &[]),
    ("οδος", &["greek"]),
    ("ΑΘΗΝΏΝ", &["greek"]),
    ("посылка?", &["cyrillic"]),
    ("ПО", &["cyrillic"]),
    ("退款", &["chinese"]),
    ("款", &["chinese"]),
    ("我要退款", &["chinese"]),
    ("款退", &[]),
    ("الطرد", &["arabic"]),
    ("istanbul", &[]),
    ("İSTANBUL", &["turkish"]),
    ("stanbul", &["turkish"]),
    ("😀", &["emoji"]),
    ("😀🎉!", &["emoji"]),
    ("🎉", &["emoji"]),
    ("%", &["wild"]),
    ("_", &["wild"]),
    ("100%_", &["wild"]),
    ("0%s", &[]),
    ("*", &["wild"]),
    ("\"quoted\"", &["wild"]),
    ("\"", &["json", "wild"]),
    ("'s", &["wild"]),
    ("\\b", &["wild"]),
    ("first\nsecond", &["lines"]),
    ("first second", &[]),
    ("\t", &["lines"]),
    ("x\u{1}y", &["lines"]),
    ("x y", &[]),
    ("z", &["long", "lines"]),
    ("ab", &["short"]),
    ("b", &["long", "json", "short", "wild", "turkish"]),
    ("q", &["long", "letter", "wild"]),
    ("NEAR(a b)", &["json"]),
    ("not near", &["json"]),
    ("a b) ", &[]),
    ("brown fox jumps over the lazy dog and then rests for quite a while in the shade", &["long"]),
];

async fn furnished(world: &World) -> Bot {
    let bot = world.bot("helpdesk").await;
    for (n, (_, text)) in (0..).zip(TEXTS) {
        // Names that no query of the table occurs in.
        bot.hears(&format!("<{n}>"), n, text).await;
    }
    bot
}

async fn within_messages(bot: &Bot, text: &str) -> Vec<&'static str> {
    let filter = ConversationFilter { message_contains: Some(text.to_owned()), ..all() };
    let found = bot.list(filter).await;
    let place = |name: &String| name.trim_matches(['<', '>']).parse::<usize>().unwrap();
    found.iter().map(|name| TEXTS[place(name)].0).collect()
}

pub(crate) async fn a_text_is_found_before_and_after_it_is_indexed_and_without_an_index(world: World) {
    let world = world.reopened_with(|config| config.search_index = false).await;
    let bot = furnished(&world).await;
    assert!(world.store.search_pending().await.unwrap() > 0);
    for (query, expected) in QUERIES {
        assert_eq!(within_messages(&bot, query).await, expected, "{query:?} without an index");
    }

    let world = world.reopened().await;
    let bot = bot.in_world(&world);
    for (query, expected) in QUERIES {
        assert_eq!(within_messages(&bot, query).await, expected, "{query:?} while it is indexed");
    }
    world.indexed().await;
    for (query, expected) in QUERIES {
        assert_eq!(within_messages(&bot, query).await, expected, "{query:?} from the index");
        assert_eq!(bot.search(query).await.len(), expected.len(), "{query:?} anywhere");
    }

    let world = world.reopened_with(|config| config.search_index = false).await;
    let bot = bot.in_world(&world);
    for (query, expected) in QUERIES {
        assert_eq!(within_messages(&bot, query).await, expected, "{query:?} without the index again");
    }
}

pub(crate) async fn a_message_is_found_by_the_next_request(world: World) {
    let bot = world.bot("helpdesk").await;
    for n in 0..10 {
        let word = format!("word{n}x");
        bot.hears("c", n, &word).await;

        assert_eq!(bot.search(&word).await, ["c"]);
        if n % 3 == 0 {
            world.indexed().await;
        }
    }
}

pub(crate) async fn every_ending_of_a_text_is_found(world: World) {
    let bot = world.bot("helpdesk").await;
    let text = "ends with žXY";
    bot.hears("c", 1, text).await;
    world.indexed().await;

    for (start, _) in text.char_indices() {
        assert_eq!(bot.search(&text[start..]).await, ["c"], "{}", &text[start..]);
        assert_eq!(bot.search(&format!("{}x", &text[start..])).await, [""; 0]);
    }
}

pub(crate) async fn another_agents_texts_are_never_found(world: World) {
    let mut bots = Vec::new();
    for n in 0..12 {
        let bot = world.bot(&format!("bot {n}")).await;
        bot.hears("c", 1, &format!("shared secret{n:02}")).await;
        bots.push(bot);
    }
    for indexed in [false, true] {
        if indexed {
            world.indexed().await;
        }
        for (n, bot) in bots.iter().enumerate() {
            assert_eq!(bot.search("shared").await, ["c"]);
            assert_eq!(bot.search("sh").await, ["c"]);
            assert_eq!(bot.search(&format!("secret{n:02}")).await, ["c"]);
            assert_eq!(bot.search(&format!("secret{:02}", (n + 1) % 12)).await, [""; 0]);
        }
    }
}

pub(crate) async fn a_renamed_conversation_is_found_by_its_new_name_alone(world: World) {
    let bot = world.bot("helpdesk").await;
    let text = |text: &str| Some(text.to_owned());
    bot.opens(NewConversation { name: text("Old title"), customer_id: text("cust-old"), ..conversation("c") }).await;
    let id = bot.id("c").await;
    world.indexed().await;
    let by_name = |name: &str| ConversationFilter { name: Some(name.to_owned()), ..all() };

    bot.store.rename_conversation(bot.agent, id, "New title".to_owned()).await.unwrap();
    for indexed in [false, true] {
        if indexed {
            world.indexed().await;
        }
        assert_eq!(bot.list(by_name("new")).await, ["c"]);
        assert_eq!(bot.list(by_name("old")).await, [""; 0]);
        assert_eq!(bot.search("new TITLE").await, ["c"]);
        assert_eq!(bot.search("cust-old").await, ["c"]);
    }

    let update = ConversationUpdate { customer_id: Some(text("cust-new")), ..ConversationUpdate::default() };
    bot.store.update_conversation(bot.agent, id, update).await.unwrap();
    for indexed in [false, true] {
        if indexed {
            world.indexed().await;
        }
        assert_eq!(bot.search("cust-new").await, ["c"]);
        assert_eq!(bot.search("cust-old").await, [""; 0]);
    }
}

pub(crate) async fn a_filled_name_is_found(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.hears("c", 1, "hi").await;
    world.indexed().await;

    bot.opens(NewConversation { name: Some("Filled later".to_owned()), ..conversation("c") }).await;
    world.indexed().await;

    assert_eq!(bot.search("LATER").await, ["c"]);
}

pub(crate) async fn each_word_may_stand_in_another_place(world: World) {
    let bot = world.bot("helpdesk").await;
    let name = Some("Parcel".to_owned());
    bot.opens(NewConversation { name, customer_id: Some("anna".to_owned()), ..conversation("order-7") }).await;
    bot.hears("order-7", 1, "it is late").await;
    bot.hears("order-7", 2, "very").await;
    bot.hears("order-8", 3, "late").await;
    world.indexed().await;
    let words =
        |words: &[&str]| ConversationFilter { search: words.iter().map(|word| (*word).to_owned()).collect(), ..all() };

    assert_eq!(bot.list(words(&["late", "VERY", "parcel", "order-7", "Anna"])).await, ["order-7"]);
    assert_eq!(bot.list(words(&["late", "order"])).await, ["order-8", "order-7"]);
    assert_eq!(bot.list(words(&["late", "nowhere"])).await, [""; 0]);
    // A text never runs on from one message into the next.
    assert_eq!(bot.search("latevery").await, [""; 0]);
}

pub(crate) async fn texts_in_the_trash_are_found_where_the_trash_is_asked_for(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.hears("c", 1, "needle").await;
    bot.store.delete_conversation(bot.agent, bot.id("c").await).await.unwrap();

    assert_eq!(bot.search("needle").await, [""; 0]);
    let filter = ConversationFilter { search: vec!["needle".to_owned()], include_deleted: true, ..all() };
    assert_eq!(bot.list(filter).await, ["c"]);
}
