//! Several OS processes share a file, and some are killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use super::*;

/// Another OS process: this test binary, that runs one test only, which has a part in the test that started it.
struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

const PART: &str = "PROCESSION_TEST_PART";
const FILE: &str = "PROCESSION_TEST_FILE";

impl Other {
    fn start(part: &str, file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["os_processes::the_other_os_process", "--exact", "--nocapture"])
            .envs([(PART, OsStr::new(part)), (FILE, file.as_os_str())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits for a word from it.
    fn hears(&mut self, word: &str) {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The test harness writes to the same line.
            if line.trim_end().ends_with(word) {
                return;
            }
            line.clear();
        }
        panic!("the other OS process ended without `{word}`");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Lets it end, and sees that all went well there.
    fn finish(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Where an assertion failed, nothing is left behind; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

/// Until the one who started it lets it end, or is gone.
fn stays() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Not a test of its own: what another OS process does in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_os_process() {
    let (Ok(part), Some(file)) = (std::env::var(PART), std::env::var_os(FILE)) else { return };
    let transport = SqliteTransport::open_with(file, quick()).unwrap();
    match part.as_str() {
        "receives some" => {
            let mut receiver = inlet(&transport, &numbers_topic()).await;
            let mut held = Vec::new();
            for number in 1..=30 {
                let delivery = next(&mut receiver).await.unwrap();
                assert_eq!(delivery.envelope.number, number);
                if number <= 20 { delivery.receipt.ack() } else { held.push(delivery) }
            }
            say("holds");
            stays();
        }
        "holds one" => {
            let mut receiver = inlet(&transport, &numbers_topic()).await;
            let held = next(&mut receiver).await.unwrap();
            say("holds");
            let lost = soon("the error", receiver.recv()).await.unwrap_err();
            assert!(matches!(lost, TransportError::Disconnected(Some(_))), "{lost}");
            // It counts for nothing: another has it.
            held.receipt.ack();
            let mut other = inlet(&transport, &numbers_topic()).await;
            say("is told");
            assert_eq!(number(&mut other).await, Some(2));
        }
        "sends for ever" => {
            let mut sender = outlet(&transport, &numbers_topic()).await;
            for number in 1.. {
                soon("room", sender.send(item("job.out", number))).await.unwrap();
                if number % 10 == 0 {
                    soon("a flush", sender.flush()).await.unwrap();
                    say(&format!("flushed {number}"));
                }
            }
        }
        "goes on" => {
            let mut sender = outlet(&transport, &numbers_topic()).await;
            send_all(&mut sender, "job.out", 51..=1_000).await;
            soon("a close", sender.close()).await.unwrap();
        }
        "echoes" => {
            let mut sender = outlet(&transport, &pipeline("back", 16)).await;
            let mut receiver = inlet(&transport, &numbers_topic()).await;
            say("is there");
            while let Some(number) = number(&mut receiver).await {
                soon("room", sender.send(item("echo", number))).await.unwrap();
            }
            soon("a close", sender.close()).await.unwrap();
            soon("a close", receiver.close()).await.unwrap();
        }
        "waits" => {
            let mut receiver = inlet(&transport, &numbers_topic()).await;
            say("waits");
            while let Some(number) = number(&mut receiver).await {
                say(&format!("got {number}"));
            }
        }
        "owns a mailbox" => {
            let _mailbox = soon("a mailbox", transport.mailbox("me")).await.unwrap();
            let _subscriber = inlet(&transport, &Topic::new("news", Mode::PubSub).unwrap()).await;
            say("is there");
            stays();
        }
        "competes" => {
            let mut receiver = inlet(&transport, &numbers_topic()).await;
            while let Some(number) = number(&mut receiver).await {
                say(&format!("got {number}"));
            }
            soon("a close", receiver.close()).await.unwrap();
        }
        other => panic!("there is no part `{other}`"),
    }
    soon("the close", transport.close()).await.unwrap();
}

fn numbers_topic() -> Topic {
    pipeline("numbers", 1_000)
}

#[tokio::test]
async fn what_a_killed_receiver_had_comes_to_another() {
    let place = Place::new();
    let transport = place.open_with(quick());
    let mut sender = outlet(&transport, &numbers_topic()).await;
    send_all(&mut sender, "one", 1..=100).await;
    let mut killed = Other::start("receives some", &place.path);
    killed.hears("holds");
    until("the acknowledgements are in the file", || place.count("item") == 80).await;
    soon("a close", sender.close()).await.unwrap();
    killed.kill();
    let mut receiver = inlet(&transport, &numbers_topic()).await;
    let mut came = Vec::new();
    while let Some(delivery) = next(&mut receiver).await {
        let is_held = (21..=30).contains(&delivery.envelope.number);
        assert!(delivery.again || !is_held, "what was given out is marked");
        came.push(delivery.envelope.number);
        delivery.receipt.ack();
    }
    assert_eq!(came, (21..=100).collect::<Vec<_>>(), "none is lost, none that was acknowledged comes again");
    until("nobody has anything", || place.count("item") + place.count("hold") + place.count("back") == 0).await;
    assert_eq!(place.count("member"), 1);
}

#[tokio::test]
async fn a_receiver_that_was_stopped_is_told_that_others_have_what_it_had() {
    let place = Place::new();
    let transport = place.open_with(quick());
    let mut sender = outlet(&transport, &numbers_topic()).await;
    send_all(&mut sender, "one", [1]).await;
    let mut stopped = Other::start("holds one", &place.path);
    stopped.hears("holds");
    let mut receiver = inlet(&transport, &numbers_topic()).await;
    until("what it holds is in the file", || place.count("end WHERE held = 1") == 1).await;
    stopped.signal("STOP");
    let delivery = loop {
        match soon("an item", receiver.recv()).await {
            Ok(delivery) => break delivery.unwrap(),
            // It was stopped in the midst of a transaction: then nobody can write.
            Err(error) => assert!(said(&error).contains("locked"), "{}", said(&error)),
        }
        stopped.signal("CONT");
        stopped.signal("STOP");
    };
    assert!((delivery.envelope.number, delivery.again) == (1, true));
    stopped.signal("CONT");
    stopped.hears("is told");
    assert_eq!(place.count("item"), 1, "it could not acknowledge what another has");
    delivery.receipt.ack();
    soon("a close", receiver.close()).await.unwrap();
    send_all(&mut sender, "one", [2]).await;
    soon("the other's end", tokio::task::spawn_blocking(|| stopped.finish())).await.unwrap();
}

#[tokio::test]
async fn a_killed_sender_goes_on_without_a_gap_or_a_repetition() {
    let place = Place::new();
    let transport = place.open_with(quick());
    let mut receiver = inlet(&transport, &numbers_topic()).await;
    let receiving = tokio::spawn(async move { rest(&mut receiver).await });
    let killed = soon(
        "some items",
        tokio::task::spawn_blocking({
            let path = place.path.clone();
            move || {
                let mut killed = Other::start("sends for ever", &path);
                killed.hears("flushed 100");
                killed
            }
        }),
    );
    let killed = killed.await.unwrap();
    // In the midst of it.
    killed.kill();
    let goes_on = Other::start("goes on", &place.path);
    let came = soon("the end", receiving).await.unwrap();
    let most = came.len().max(1_000);
    // It may have come farther than the one that goes on: what is above is from it alone.
    assert_eq!(came, (1..=u64::try_from(most).unwrap()).collect::<Vec<_>>());
    goes_on.finish();
}

#[tokio::test]
async fn two_os_processes_exchange_items() {
    let place = Place::new();
    let transport = place.open();
    let mut receiver = inlet(&transport, &pipeline("back", 16)).await;
    let mut sender = outlet(&transport, &numbers_topic()).await;
    let mut echo = Other::start("echoes", &place.path);
    echo.hears("is there");
    let sending = tokio::spawn(async move {
        send_all(&mut sender, "one", 1..=2_000).await;
        soon("a close", sender.close()).await.unwrap();
    });
    assert_eq!(rest(&mut receiver).await, (1..=2_000).collect::<Vec<_>>());
    sending.await.unwrap();
    echo.finish();
}

#[tokio::test]
async fn a_receiver_in_another_os_process_is_woken_within_a_second() {
    let place = Place::new();
    let transport = place.open();
    let mut sender = outlet(&transport, &numbers_topic()).await;
    let mut other = Other::start("waits", &place.path);
    other.hears("waits");
    for number in 1..=5 {
        let start = Instant::now();
        send_all(&mut sender, "one", [number]).await;
        other.hears(&format!("got {number}"));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    soon("a close", sender.close()).await.unwrap();
    other.finish();
}

#[tokio::test]
async fn what_a_killed_owner_had_is_free() {
    let place = Place::new();
    let transport = place.open_with(quick());
    let news = Topic::new("news", Mode::PubSub).unwrap();
    let mut owner = Other::start("owns a mailbox", &place.path);
    owner.hears("is there");
    assert_eq!(transport.mailbox("me").await.unwrap_err().kind(), TransportErrorKind::Conflict);
    let mut publisher = outlet(&transport, &news).await;
    owner.kill();
    // The subscriber that is gone is waited for no longer than until it is seen to be gone.
    send_all(&mut publisher, "one", 1..=3_000).await;
    let _mailbox = soon("a mailbox", transport.mailbox("me")).await.unwrap();
    until("only the living have anything", || place.count("member") == 1 && place.count("item") == 0).await;
}

#[tokio::test]
async fn os_processes_that_compete_get_each_item_once() {
    let place = Place::new();
    let transport = place.open();
    let mut sender = outlet(&transport, &numbers_topic()).await;
    send_all(&mut sender, "one", 1..=300).await;
    let others: Vec<_> = (0..2).map(|_| Other::start("competes", &place.path)).collect();
    let mut receiver = inlet(&transport, &numbers_topic()).await;
    soon("a close", sender.close()).await.unwrap();
    let mut all = rest(&mut receiver).await;
    for mut other in others {
        let mut text = String::new();
        other.output.read_to_string(&mut text).unwrap();
        all.extend(text.lines().filter_map(|line| line.rsplit_once("got ")?.1.parse::<u64>().ok()));
        other.finish();
    }
    all.sort_unstable();
    assert_eq!(all, (1..=300).collect::<Vec<_>>());
}
