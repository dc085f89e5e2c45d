//! Files that nothing names, and rows whose file is not there.

use std::time::Duration;

use agentsight_model::attachment::ContentHash;
use agentsight_store::{BlobEvent, BlobTotals, Error, Part, Prune};
use bytes::Bytes;

use crate::world::{World, event, files, named, one_file};

/// Removes whatever is no file of a row, however young, without waiting long.
const NOW: Prune = Prune { older_than: Duration::ZERO, dry_run: false, aside_for: Duration::from_millis(50) };

/// Where the store keeps these bytes.
fn place(bytes: &[u8]) -> String {
    let hash = hex::encode(ContentHash::of(bytes).0);
    format!("{}/{}", &hash[..2], &hash[2..])
}

async fn totals(world: &World) -> BlobTotals {
    world.store.check_blobs(&mut |_| ()).await.unwrap()
}

/// Prunes, and shows what was told, the steps left out.
async fn prune(world: &World, prune: Prune) -> (BlobTotals, Vec<BlobEvent>) {
    let mut told = Vec::new();
    let mut tell = |event| {
        if !matches!(event, BlobEvent::Looked { .. }) {
            told.push(event);
        }
    };
    let totals = world.store.prune_blobs(prune, &mut tell).await.unwrap();
    (totals, told)
}

pub(crate) async fn what_nothing_names_is_removed_and_the_rest_stays(world: World) {
    let bot = world.bot("helpdesk").await;
    let stored = bot.receives(event(named("c"), 1, files(None, &[("a.txt", "text/plain", b"named")]))).await;
    world.leaves_file(&place(b"orphan"), b"orphan");
    world.leaves_file("ab/.0123456789abcdef", b"draft");
    world.leaves_file("ab/notes.txt", b"somebody's");
    let kept = BlobTotals { files: 1, bytes: 5, foreign: 1, ..BlobTotals::default() };
    assert_eq!(totals(&world).await, BlobTotals { orphans: 1, orphan_bytes: 6, drafts: 1, ..kept });

    let (pruned, told) = prune(&world, NOW).await;

    assert_eq!((pruned.removed, pruned.removed_bytes), (2, 11));
    let hash = ContentHash::of(b"orphan");
    assert!(told.iter().any(|event| matches!(event, BlobEvent::Orphan { hash: it, size: 6, .. } if *it == hash)));
    assert_eq!(told.last(), Some(&BlobEvent::Removed { hash }));
    assert_eq!(totals(&world).await, kept);
    assert_eq!(bot.downloads(stored.conversation, stored.attachments[0].id).await.2, "named");
}

pub(crate) async fn a_dry_run_changes_nothing(world: World) {
    world.leaves_file(&place(b"orphan"), b"orphan");
    let before = totals(&world).await;

    let (pruned, told) = prune(&world, Prune { dry_run: true, ..NOW }).await;

    assert_eq!((pruned.orphans, pruned.removed, told.len()), (1, 0, 1));
    assert_eq!(totals(&world).await, before);
}

pub(crate) async fn young_orphans_stay(world: World) {
    world.leaves_file(&place(b"orphan"), b"orphan");
    world.leaves_file("ab/.0123456789abcdef", b"draft");

    let (pruned, _) = prune(&world, Prune { older_than: Duration::from_secs(3600), ..NOW }).await;

    assert_eq!((pruned.orphans, pruned.removed), (0, 0));
    assert_eq!((totals(&world).await.orphans, totals(&world).await.drafts), (1, 1));
}

pub(crate) async fn a_file_that_is_set_aside_is_still_read_and_is_put_back_when_it_is_named(world: World) {
    let bot = world.bot("helpdesk").await;
    let stored = bot.receives(event(named("c"), 1, files(None, &[("a.txt", "text/plain", b"named")]))).await;
    // As where a row is committed just after its file was set aside.
    world.moves_file(&place(b"named"), &format!("{}.aside", place(b"named")));

    let meanwhile = bot.downloads(stored.conversation, stored.attachments[0].id).await;
    let seen = totals(&world).await;
    let (_, told) = prune(&world, NOW).await;

    assert_eq!(meanwhile.2, "named");
    assert_eq!((seen.files, seen.missing, seen.orphans), (1, 0, 0));
    assert_eq!(told, [BlobEvent::PutBack { hash: ContentHash::of(b"named") }]);
    assert_eq!(bot.downloads(stored.conversation, stored.attachments[0].id).await.2, "named");
}

pub(crate) async fn a_file_that_is_uploaded_again_while_it_is_set_aside_stays(world: World) {
    let bot = world.bot("helpdesk").await;
    world.leaves_file(&place(b"again"), b"again");
    let (waiting, waits) = tokio::sync::oneshot::channel();
    let pruning = tokio::spawn({
        let store = world.store.clone();
        async move {
            let mut waiting = Some(waiting);
            let mut tell = |event| {
                if matches!(event, BlobEvent::Waiting { .. }) {
                    let _ = waiting.take().unwrap().send(());
                }
            };
            store.prune_blobs(Prune { aside_for: Duration::from_secs(2), ..NOW }, &mut tell).await
        }
    });
    waits.await.unwrap();

    let stored = bot.receives(event(named("c"), 1, one_file("a.txt", Bytes::from_static(b"again")))).await;
    let pruned = pruning.await.unwrap().unwrap();

    assert_eq!((pruned.files, pruned.removed), (1, 0));
    assert_eq!(bot.downloads(stored.conversation, stored.attachments[0].id).await.2, "again");
    assert_eq!(totals(&world).await, BlobTotals { files: 1, bytes: 5, ..BlobTotals::default() });
}

pub(crate) async fn what_an_earlier_run_left_aside_is_dealt_with(world: World) {
    world.leaves_file(&format!("{}.aside", place(b"left")), b"left");
    assert_eq!(totals(&world).await.orphans, 1);

    let (pruned, told) = prune(&world, Prune { older_than: Duration::from_secs(3600), ..NOW }).await;

    assert_eq!((pruned.removed, pruned.removed_bytes), (1, 4));
    assert_eq!(told.last(), Some(&BlobEvent::Removed { hash: ContentHash::of(b"left") }));
    assert_eq!(totals(&world).await, BlobTotals::default());
}

pub(crate) async fn a_missing_file_is_told(world: World) {
    let bot = world.bot("helpdesk").await;
    let stored = bot.receives(event(named("c"), 1, files(None, &[("a.txt", "text/plain", b"named")]))).await;
    let hash = ContentHash::of(b"named");
    for damage in ["lost", "short"] {
        match damage {
            "lost" => world.moves_file(&place(b"named"), "ab/elsewhere"),
            _ => world.leaves_file(&place(b"named"), b"nam"),
        }

        let mut told = Vec::new();
        let totals = world.store.check_blobs(&mut |event| told.push(event)).await.unwrap();
        let fetched = bot.store.fetch_file(bot.agent, stored.conversation, stored.attachments[0].id, Part::Whole).await;

        assert_eq!((totals.missing, totals.files, totals.orphans), (1, 0, 0), "{damage}");
        assert!(told.contains(&BlobEvent::Missing { hash, size: 5 }), "{damage}: {told:?}");
        assert!(matches!(fetched, Err(Error::Lost { hash: it }) if it == hash), "{damage}: {fetched:?}");
    }
}
