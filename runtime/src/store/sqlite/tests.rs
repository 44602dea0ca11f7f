//! What cannot be reached through the public interface: a panic of the writer.

use super::*;

#[tokio::test]
async fn a_panic_of_the_writer_closes_the_store_and_keeps_what_was_committed() {
    let file = std::env::temp_dir().join(format!("procession-{}.db", ProcessId::new()));
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    for _ in 0..2 {
        let error = store.write("write to", Work::Panic).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Closed);
    }
    assert_eq!(store.release().await.unwrap_err().kind(), StoreErrorKind::Closed);
    assert_eq!(store.load(&ProcessId::new()).await.unwrap(), None);
    drop(store);
    let again = SqliteStore::open(&file).unwrap();
    assert!(again.acquire().await.unwrap() > epoch);
    drop(again);
    for name in [file.clone(), file.with_extension("db.lock")] {
        std::fs::remove_file(name).unwrap();
    }
}
