//! Workers that are killed at random instants.

use std::time::{Duration, Instant};
use tokio::time::sleep;

use super::account::balance;
use super::load::Client;
use super::loss::Loss;
use super::report::{Times, number, say, seed};
use super::scene::{LEASE, Scene};
use crate::support::Random;

/// How many processes with their children are in flight.
const FLYING: usize = 30;
/// How long a worker that was killed stays away at most.
const AWAY: u64 = 1_500;

/// Kills workers, mostly one, at times two or all; gives what they had.
async fn strike(scene: &mut Scene, random: &mut Random) -> (Vec<Loss>, bool) {
    let mut ready = scene.ready();
    let most = [1, 1, 1, 1, 2, 3][random.index(6)].min(ready.len());
    let mut places = Vec::new();
    while places.len() < most {
        places.push(ready.swap_remove(random.index(ready.len())));
    }
    let alone = ready.is_empty();
    (scene.kill(&places, Duration::from_millis(random.below(AWAY))).await, alone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn sixty_kills_lose_nothing_and_nothing_ends_twice() {
    let (kills, seed) = (number("KILLS").unwrap_or(60), seed());
    say(&format!("chaos: {kills} kills, seed {seed}"));
    let mut random = Random::new(seed);
    let mut scene = Scene::new().await;
    scene.all_ready().await;
    let mut client = Client::new(&scene).await;
    client.load(FLYING, random.fork());
    let (mut losses, mut times, begun) = (Vec::new(), Times::default(), Instant::now());
    let mut measured = tokio::task::JoinSet::new();
    while (losses.len() as u64) < kills {
        let until = Instant::now() + Duration::from_millis(random.below(2_200));
        while Instant::now() < until || scene.ready().is_empty() {
            scene.tend();
            sleep(Duration::from_millis(10)).await;
        }
        let (struck, alone) = strike(&mut scene, &mut random).await;
        for loss in struck {
            let eye = scene.eye.clone();
            measured.spawn(async move { (loss.taken_over(&eye, alone).await, loss) });
        }
        while let Some(done) = measured.try_join_next() {
            let (taken, loss) = done.expect("it is taken over");
            taken.into_iter().for_each(|taken| times.add(taken));
            losses.push(loss);
        }
        if losses.len() + measured.len() >= usize::try_from(kills).unwrap_or_default() {
            break;
        }
    }
    scene.all_ready().await;
    while let Some(done) = measured.join_next().await {
        let (taken, loss) = done.expect("it is taken over");
        taken.into_iter().for_each(|taken| times.add(taken));
        losses.push(loss);
    }
    let took = begun.elapsed();
    client.land().await;
    let balance = balance(&scene.eye, &client.book.orders(), &scene.effects(), &losses).await;
    client.leave().await;
    scene.stop().await;
    say(&format!(
        "chaos: {} kills in {:.0} s, lease {:.1} s, {times}, {} writes refused\nchaos: {balance}",
        losses.len(),
        took.as_secs_f64(),
        LEASE.as_secs_f64(),
        scene.refused()
    ));
    assert!(balance.is_even() && balance.late.is_empty(), "{balance}");
}
