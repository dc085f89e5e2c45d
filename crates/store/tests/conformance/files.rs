//! Files of messages, and their bytes.

use agentsight_model::ids::{AttachmentId, ConversationId, MessageId};
use agentsight_model::track::{NewEvent, Target};
use agentsight_store::{BlobTotals, Error, Missing, Part};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::world::{World, event, files, json, keyed, large_bytes, missing, named, one_file, sent_as};

const PHOTO: (&str, &str, &[u8]) = ("photo.png", "image/png", b"\x89PNG");
const BILL: (&str, &str, &[u8]) = ("bill.pdf", "application/pdf", b"%PDF-");

pub(crate) async fn files_alone_leave_a_message_that_shows_them(world: World) {
    let bot = world.bot("helpdesk").await;

    let stored = bot.receives(event(named("c"), 4, files(None, &[PHOTO, BILL]))).await;

    let shown = json!([
        {"id": 1, "message": 1, "type": "image", "filename": "photo.png", "mime_type": "image/png", "size_bytes": 4, "file_url": ""},
        {"id": 2, "message": 1, "type": "document", "filename": "bill.pdf", "mime_type": "application/pdf", "size_bytes": 5, "file_url": ""},
    ]);
    assert_eq!(
        json(&stored),
        json!({"id": 1, "message": 1, "conversation": 1, "conversation_id": "c", "attachments": shown})
    );
    assert_eq!(
        bot.fields("c", ["messages", "ended_at"]).await,
        [
            json!([{
                "id": 1, "conversation": 1, "timestamp": "2026-03-02T09:15:04Z", "sender": "end_user",
                "content": "[Attachments]", "action_name": null, "metadata": {}, "attachments": shown, "action_logs": [],
                "button": null, "feedback": null,
            }]),
            json!("2026-03-02T09:15:04Z")
        ]
    );
}

pub(crate) async fn files_for_a_message_leave_its_time_and_metadata_alone(world: World) {
    let bot = world.bot("helpdesk").await;
    let message = bot.hears("c", 1, "see").await;
    let nobody = Target { id: None, name: None };

    bot.receives(event(nobody, 500, files(Some(message.id), &[PHOTO]))).await;
    bot.receives(event(keyed(message.conversation), -500, files(Some(message.id), &[BILL]))).await;

    let [messages, started, ended, count] =
        bot.fields("c", ["messages", "started_at", "ended_at", "message_count"]).await;
    assert_eq!((&started, &ended, &count), (&json!("2026-03-02T09:15:01Z"), &ended, &json!(1)));
    assert_eq!(ended, json!("2026-03-02T09:15:01Z"));
    let names: Vec<_> = messages[0]["attachments"].as_array().unwrap().iter().map(|file| &file["filename"]).collect();
    assert_eq!(names, ["photo.png", "bill.pdf"]);
    assert_eq!(json(&bot.store.fetch_message(bot.agent, message.id).await.unwrap()), messages[0]);
}

pub(crate) async fn a_message_of_another_conversation_is_not_found(world: World) {
    let (bot, other) = (world.bot("helpdesk").await, world.bot("sales").await);
    let message = bot.hears("c", 1, "see").await.id;
    bot.hears("d", 1, "see").await;
    let both = |id, name: &str| Target { id: Some(ConversationId(id)), name: Some(name.to_owned()) };

    for target in [named("d"), named("new"), keyed(ConversationId(2)), both(2, "c")] {
        let wrong = bot.store.append(bot.agent, event(target, 2, files(Some(message), &[PHOTO]))).await;
        assert_eq!(missing(wrong), Missing::Message(1));
    }
    let stranger = other.store.append(other.agent, event(named("c"), 2, files(Some(message), &[PHOTO]))).await;
    let unknown = bot.store.append(bot.agent, event(named("c"), 2, files(Some(MessageId(77)), &[PHOTO]))).await;

    assert_eq!(missing(stranger), Missing::Message(1));
    assert_eq!(missing(unknown), Missing::Message(77));
    bot.receives(event(both(1, "d"), 2, files(Some(message), &[PHOTO]))).await;
    assert_eq!(bot.store.fetch_message(bot.agent, message).await.unwrap().attachments.len(), 1);
    assert_eq!(bot.list(crate::world::all()).await, ["d", "c"]);
}

pub(crate) async fn resent_files_are_stored_once(world: World) {
    let bot = world.bot("helpdesk").await;
    let message = bot.hears("c", 1, "see").await.id;
    let sent = sent_as(5, event(named("c"), 2, files(Some(message), &[PHOTO, BILL])));

    let first = bot.does(sent.clone()).await;
    let again = bot.does(sent.clone()).await;
    let other = bot.does(NewEvent { receipt: None, ..sent.clone() }).await;
    world.clock.advance_micros(11 * 60 * 1_000_000);
    let late = bot.does(sent).await;

    assert!(first.created && !again.created && other.created && late.created);
    assert_eq!(again.value, first.value);
    assert_eq!(bot.store.fetch_message(bot.agent, message).await.unwrap().attachments.len(), 6);
}

pub(crate) async fn bytes_come_back_and_equal_ones_are_kept_once(world: World) {
    let bot = world.bot("helpdesk").await;
    let first = bot.receives(event(named("c"), 1, files(None, &[PHOTO, BILL, ("", "x/y", b"")]))).await;
    let second = bot.receives(event(named("d"), 1, files(None, &[("same.png", "image/x", PHOTO.2)]))).await;

    let photo = bot.downloads(first.conversation, first.attachments[0].id).await;
    let empty = bot.downloads(first.conversation, first.attachments[2].id).await;
    let same = bot.downloads(second.conversation, second.id).await;

    assert_eq!((photo.0.as_str(), photo.1.as_str(), &photo.2[..]), PHOTO);
    assert_eq!(empty.2.len(), 0);
    assert_eq!((same.0.as_str(), same.1.as_str(), &same.2[..]), ("same.png", "image/x", PHOTO.2));
    let kept = world.store.check_blobs(&mut |_| ()).await.unwrap();
    assert_eq!(kept, BlobTotals { files: 3, bytes: (PHOTO.2.len() + BILL.2.len()) as u64, ..BlobTotals::default() });
    let elsewhere = bot.store.fetch_file(bot.agent, second.conversation, first.id, Part::Whole).await;
    assert_eq!(missing(elsewhere), Missing::Row);
    let unknown = bot.store.fetch_file(bot.agent, first.conversation, AttachmentId(99), Part::Whole).await;
    assert_eq!(missing(unknown), Missing::Row);
}

pub(crate) async fn a_part_of_a_file_comes_alone(world: World) {
    let bot = world.bot("helpdesk").await;
    let stored = bot.receives(event(named("c"), 1, files(None, &[("abc.txt", "text/plain", b"abcdefghij")]))).await;
    let fetch = |part| bot.store.fetch_file(bot.agent, stored.conversation, stored.attachments[0].id, part);

    for (part, range, bytes) in [
        (Part::Whole, 0..10, "abcdefghij"),
        (Part::From(7), 7..10, "hij"),
        (Part::Between(0, 0), 0..1, "a"),
        (Part::Between(8, 800), 8..10, "ij"),
        (Part::Last(2), 8..10, "ij"),
        (Part::Last(11), 0..10, "abcdefghij"),
    ] {
        let file = fetch(part).await.unwrap();
        assert_eq!((file.size_bytes, file.range), (10, range), "{part:?}");
        assert_eq!(file.bytes.collect().await.unwrap(), bytes, "{part:?}");
    }
    for part in [Part::From(10), Part::Between(10, 20), Part::Last(0)] {
        let nothing = fetch(part).await;
        assert!(matches!(nothing, Err(Error::OutOfRange { size: 10 })), "{part:?}: {nothing:?}");
    }
}

pub(crate) async fn a_large_file_goes_through_in_pieces(world: World) {
    let bot = world.bot("helpdesk").await;
    let large = large_bytes();
    let stored = bot.receives(event(named("c"), 1, one_file("film.mp4", large.clone()))).await;

    let file =
        bot.store.fetch_file(bot.agent, stored.conversation, stored.attachments[0].id, Part::Whole).await.unwrap();
    let pieces: Vec<bytes::Bytes> = file.bytes.try_collect().await.unwrap();
    let middle = Part::Between(9_000_000, 9_000_099);
    let middle = bot.store.fetch_file(bot.agent, stored.conversation, stored.attachments[0].id, middle).await.unwrap();

    assert!(pieces.iter().all(|piece| piece.len() <= 1024 * 1024), "no piece is large");
    assert!(pieces.concat() == large, "the same bytes");
    assert!(middle.bytes.collect().await.unwrap() == large.slice(9_000_000..9_000_100), "the same bytes");
}

pub(crate) async fn files_of_a_conversation_are_grouped_in_transcript_order(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.receives(event(named("c"), 9, files(None, &[PHOTO]))).await;
    let message = bot.hears("c", 1, "see").await.id;
    bot.hears("c", 2, "nothing here").await;
    bot.receives(event(named("c"), 9, files(Some(message), &[BILL, PHOTO]))).await;
    bot.hears("empty", 2, "nothing here").await;

    let listed = json(&bot.store.conversation_attachments(bot.agent, ConversationId(1)).await.unwrap());

    let bill = json!({"id": 2, "message": 2, "type": "document", "filename": "bill.pdf", "mime_type": "application/pdf", "size_bytes": 5, "file_url": ""});
    let photo = |id: i64, message: i64| json!({"id": id, "message": message, "type": "image", "filename": "photo.png", "mime_type": "image/png", "size_bytes": 4, "file_url": ""});
    assert_eq!(
        listed,
        json!({
            "conversation_id": "c", "conversation": 1, "total_attachments": 3, "attachment_count": 3,
            "messages": [
                {"message_id": 2, "id": 2, "sender": "end_user", "timestamp": "2026-03-02T09:15:01Z", "attachments": [bill, photo(3, 2)]},
                {"message_id": 1, "id": 1, "sender": "end_user", "timestamp": "2026-03-02T09:15:09Z", "attachments": [photo(1, 1)]},
            ],
            "attachments": [bill, photo(3, 2), photo(1, 1)],
        })
    );
    assert_eq!(
        json(&bot.store.conversation_attachments(bot.agent, ConversationId(2)).await.unwrap()),
        json!({"conversation_id": "empty", "conversation": 2, "total_attachments": 0, "attachment_count": 0, "messages": [], "attachments": []})
    );
}
