//! How fast it is, beside SQLite itself: `cargo test --release --features conformance,sqlite --test sqlite measure --
//! --ignored --nocapture`.

use std::time::Instant;

use super::*;

const MESSAGES: u32 = 5_000;
const TOGETHER: u32 = 100;

/// One sender that flushes every hundred, one receiver that acknowledges each.
fn ours(size: usize) -> f64 {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let transport = place.open();
        let topic = pipeline("topic", 1_024);
        let (mut receiver, mut sender) = (inlet(&transport, &topic).await, outlet(&transport, &topic).await);
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            for number in 1..=MESSAGES {
                sender.send(sized("one", number.into(), size)).await.unwrap();
                if number % TOGETHER == 0 {
                    sender.flush().await.unwrap();
                }
            }
            sender.close().await.unwrap();
        });
        let mut expected = 1;
        while let Some(delivery) = receiver.recv().await.unwrap() {
            assert_eq!(delivery.envelope, sized("one", expected.into(), size));
            delivery.receipt.ack();
            expected += 1;
        }
        receiver.close().await.unwrap();
        sending.await.unwrap();
        assert_eq!(expected, MESSAGES + 1);
        let passed = start.elapsed();
        assert_eq!(place.count("item"), 0);
        f64::from(MESSAGES) / passed.as_secs_f64()
    })
}

/// The same rows: a hundred inserted, and the hundred before them read and deleted, in one transaction or in two.
fn limit(size: usize, is_apart: bool) -> f64 {
    let place = Place::new();
    let connection = Connection::open(&place.path).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.pragma_update(None, "cache_size", -16_384).unwrap();
    connection.execute_batch("CREATE TABLE item (id INTEGER PRIMARY KEY, envelope BLOB NOT NULL)").unwrap();
    let run = |sql: &str| connection.prepare_cached(sql).unwrap().execute([]).unwrap();
    let start = Instant::now();
    for first in (1..=MESSAGES + TOGETHER).step_by(usize::try_from(TOGETHER).unwrap()) {
        run("BEGIN IMMEDIATE");
        if first <= MESSAGES {
            let mut insert = connection.prepare_cached("INSERT INTO item (id, envelope) VALUES (?1, ?2)").unwrap();
            for number in first..first + TOGETHER {
                let bytes = sized("one", number.into(), size).encode().unwrap();
                insert.execute(rusqlite::params![i64::from(number), &bytes[..]]).unwrap();
            }
        }
        if is_apart {
            run("COMMIT");
            run("BEGIN IMMEDIATE");
        }
        let mut select = connection.prepare_cached("SELECT envelope FROM item WHERE id = ?1").unwrap();
        let mut delete = connection.prepare_cached("DELETE FROM item WHERE id = ?1").unwrap();
        for number in (first.saturating_sub(TOGETHER)..first).filter(|number| *number > 0) {
            let id = i64::from(number);
            let bytes: Vec<u8> = select.query_row([id], |row| row.get(0)).unwrap();
            assert_eq!(Envelope::decode(&bytes.into()).unwrap(), sized("one", number.into(), size));
            delete.execute([id]).unwrap();
        }
        run("COMMIT");
    }
    let passed = start.elapsed();
    assert_eq!(place.count("item"), 0);
    f64::from(MESSAGES) / passed.as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    for size in [100, 1_000] {
        let (mut shares, mut apart) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (one, two, ours) = (limit(size, false), limit(size, true), ours(size));
            println!("{size} bytes: ours {ours:.0}/s, limit {one:.0}/s, in two transactions {two:.0}/s");
            shares.push(ours / one);
            apart.push(ours / two);
        }
        shares.sort_by(f64::total_cmp);
        apart.sort_by(f64::total_cmp);
        println!("{size} bytes: {:.2} of the limit, {:.2} of that in two transactions", shares[2], apart[2]);
    }
}
