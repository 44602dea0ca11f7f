//! Sentence 12.

use super::{Subject, end, launch, load, process};
use crate::process::ProcessId;
use crate::store::{Record, Store};

async fn pages(store: &dyn Store, most: usize) -> Vec<Vec<Record>> {
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = store.unfinished(after, most).await.unwrap();
        assert!(page.records.len() <= most, "no more than asked for");
        pages.push(page.records);
        match page.next {
            Some(next) => assert!(after.replace(next) < Some(next), "a page must lead on"),
            None => return pages,
        }
    }
}

fn pids<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    records.into_iter().map(|record| record.pid.to_string()).collect()
}

/// Every unfinished process is given once, in the order of creation, in pages of any size, as it is loaded.
pub async fn every_unfinished_process_is_given_once_in_order(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let mut expected = Vec::new();
    // Ids whose order is not that of their creation.
    for index in 0..20_i64 {
        let pid = launch(&*store, epoch, process(index * 7 % 20)).await;
        match index % 5 {
            1 => drop(end(&*store, epoch, &pid).await),
            3 => store.park(epoch, &pid, "why".to_owned()).await.unwrap(),
            _ => expected.push(load(&*store, &pid).await),
        }
    }
    let (store, _) = subject.reopen(store).await;
    for most in [1, 2, 3, 11, 12, 13, 1_000] {
        let pages = pages(&*store, most).await;
        assert_eq!(pages.concat(), expected, "in pages of {most}");
        assert_eq!(pages.len(), expected.len().div_ceil(most), "no empty page at the end");
    }
}

/// Without any, there is one empty page.
pub async fn an_empty_store_has_one_empty_page(subject: Subject) {
    let (store, epoch) = subject.own().await;
    assert_eq!(pages(&*store, 10).await, [[]]);
    let pid = launch(&*store, epoch, process("one")).await;
    end(&*store, epoch, &pid).await;
    assert_eq!(pages(&*store, 10).await, [[]]);
    assert_eq!(store.unfinished(Some(u64::MAX), 10).await.unwrap().records, []);
}

/// While rows change between the pages, none that stays is left out or given twice.
pub async fn pages_are_right_while_rows_change(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let all: Vec<ProcessId> = (0..12_i64).map(ProcessId::from).collect();
    for pid in &all {
        launch(&*store, epoch, process(pid.clone())).await;
    }
    let first = store.unfinished(None, 4).await.unwrap();
    assert_eq!(pids(&first.records), ["0", "1", "2", "3"]);
    // One that was given, the one at which the page ends, the next one, and a later one.
    for index in [0, 3, 4, 6] {
        end(&*store, epoch, &all[index]).await;
    }
    launch(&*store, epoch, process("new")).await;
    let second = store.unfinished(first.next, 4).await.unwrap();
    assert_eq!(pids(&second.records), ["5", "7", "8", "9"]);
    let third = store.unfinished(second.next, 4).await.unwrap();
    assert_eq!((pids(&third.records), third.next), (["10", "11", "new"].map(String::from).to_vec(), None));
}
