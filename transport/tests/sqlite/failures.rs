//! The disk is full, the file is another's, damaged or locked.

use super::*;

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let place = Place::new();
    let transport = place.open_with(SqliteTransportOptions::new().with_size_max(400 << 10));
    let topic = pipeline("topic", 10_000);
    let (mut receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
    let mut sent = 0;
    let error = loop {
        sent += 1;
        assert!(sent < 10_000, "the disk is never full");
        soon("room", sender.send(sized("one", sent, 3_000))).await.unwrap();
        if let Err(error) = soon("a flush", sender.flush()).await {
            break error;
        }
    };
    assert_eq!(error.kind(), TransportErrorKind::Unavailable);
    assert!(error.is_retryable());
    assert!(said(&error).contains("full"), "{}", said(&error));
    // It is told as often as it is tried, and what makes room can be done meanwhile.
    assert!(soon("a flush", sender.flush()).await.is_err());
    assert!(soon("a refusal", transport.outlet(&pipeline("x".repeat(200).as_str(), 1))).await.is_ok());
    for expected in 1..sent {
        assert_eq!(number(&mut receiver).await, Some(expected));
    }
    soon("a flush", async {
        while sender.flush().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    soon("a close", sender.close()).await.unwrap();
    assert_eq!(rest(&mut receiver).await, [sent], "nothing was lost, and nothing came twice");
}

#[tokio::test]
async fn another_one_s_file_is_refused_and_left_as_it_is() {
    let place = Place::new();
    std::fs::write(&place.path, "no database, but long enough to be one".repeat(100)).unwrap();
    let before = std::fs::read(&place.path).unwrap();
    let error = SqliteTransport::open(&place.path).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused, "{error}");
    assert_eq!(std::fs::read(&place.path).unwrap(), before);

    let place = Place::new();
    Connection::open(&place.path).unwrap().execute_batch("CREATE TABLE other (value)").unwrap();
    let before = std::fs::read(&place.path).unwrap();
    let error = SqliteTransport::open(&place.path).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert!(error.to_string().contains("something else"), "{error}");
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_file_is_refused_and_a_folder_that_is_not_there_is_told() {
    let place = Place::new();
    drop(place.open());
    Connection::open(&place.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteTransport::open(&place.path).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert!(error.to_string().contains("version is 99"), "{error}");
    let error = SqliteTransport::open(place.path.join("x/y")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_file_that_is_read_only_is_refused() {
    let place = Place::new();
    drop(place.open());
    let mut permissions = std::fs::metadata(&place.path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&place.path, permissions).unwrap();
    if std::fs::OpenOptions::new().write(true).open(&place.path).is_ok() {
        eprintln!("not judged: this user may write what is read-only");
        return;
    }
    let error = SqliteTransport::open(&place.path).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused, "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_told_by_everything_from_then_on() {
    let place = Place::new();
    let topic = pipeline("topic", 1_000).lasting();
    let transport = place.open();
    let mut sender = outlet(&transport, &topic).await;
    for number in 1..=100 {
        sender.send(sized("one", number, 3_000)).await.unwrap();
    }
    soon("a flush", sender.flush()).await.unwrap();
    drop(sender);
    soon("the close", transport.close()).await.unwrap();
    drop(transport);
    let connection = Connection::open(&place.path).unwrap();
    connection.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())).unwrap();
    let page: u32 =
        connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'item'", [], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(&place.path).unwrap();
    let at = usize::try_from((page - 1) * 4_096).unwrap();
    bytes[at..at + 4_096].fill(0x5a);
    std::fs::write(&place.path, bytes).unwrap();

    let transport = place.open();
    let mut receiver = inlet(&transport, &topic).await;
    let waiting = {
        let mut other = inlet(&transport, &pipeline("other", 1)).await;
        tokio::spawn(async move { other.recv().await.map(drop) })
    };
    let error = soon("an error", receiver.recv()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable);
    assert!(said(&error).contains("malformed"), "{}", said(&error));
    // Nothing that is asked later seems to succeed, and those who wait are told.
    assert!(soon("the other's error", waiting).await.unwrap().is_err());
    assert_eq!(said(&soon("a refusal", transport.outlet(&topic)).await.unwrap_err()), said(&error));
    assert_eq!(said(&soon("a refusal", receiver.recv()).await.unwrap_err()), said(&error));
    let _ = soon("the close", transport.close()).await;
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_told_once() {
    let place = Place::new();
    let transport = place.open();
    let topic = pipeline("topic", 100);
    let mut sender = outlet(&transport, &topic).await;
    send_all(&mut sender, "one", 1..=3).await;
    let other = Connection::open(&place.path).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute("UPDATE item SET envelope = x'00' WHERE id = (SELECT min(id) + 1 FROM item)", []).unwrap();
    soon("a close", sender.close()).await.unwrap();
    let mut receiver = inlet(&transport, &topic).await;
    assert_eq!(number(&mut receiver).await, Some(1));
    let error = soon("an error", receiver.recv()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Invalid);
    assert_eq!(rest(&mut receiver).await, [3]);
    assert_eq!(place.count("item"), 0);
}

#[tokio::test]
async fn a_file_that_is_locked_is_told_and_loses_nothing() {
    let place = Place::new();
    let transport = place.open_with(SqliteTransportOptions::new().with_busy_timeout(Duration::from_millis(50)));
    let topic = pipeline("topic", 100);
    let (mut receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
    send_all(&mut sender, "one", 1..=2).await;
    let held = next(&mut receiver).await.unwrap();
    let other = Connection::open(&place.path).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    sender.send(item("one", 3)).await.unwrap();
    held.receipt.ack();
    let error = soon("a refusal", sender.flush()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable);
    assert!(said(&error).contains("locked"), "{}", said(&error));
    let error = soon("a refusal", transport.inlet(&pipeline("other", 1))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unavailable);
    other.execute_batch("COMMIT").unwrap();
    soon("a flush", async { while sender.flush().await.is_err() {} }).await;
    until("the acknowledgement is in the file", || place.count("item") == 2).await;
    soon("a close", sender.close()).await.unwrap();
    let mut came = Vec::new();
    soon("the end", async {
        loop {
            match receiver.recv().await {
                Ok(Some(delivery)) => {
                    came.push(delivery.envelope.number);
                    delivery.receipt.ack();
                }
                Ok(None) => break,
                // It was told that the file was locked, too.
                Err(error) => assert_eq!(error.kind(), TransportErrorKind::Unavailable),
            }
        }
    })
    .await;
    assert_eq!(came, [2, 3]);
}
