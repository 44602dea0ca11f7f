//! How many items of 1 kB go through a topic in a second: `figures ADDRESS`.

use std::error::Error;
use std::time::Instant;

use procession_ray::{RayConfig, RayTransport, disconnect};
use procession_transport::{Content, Envelope, Inlet, Kind, Mode, Topic, Transport};

const ONE_BY_ONE: u64 = 1_000;
const BATCHED: u64 = 50_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("figures ADDRESS")?;
    let transport = RayTransport::connect(RayConfig::new(address, format!("figures {}", std::process::id()))).await?;
    let topic = Topic::new("figures", Mode::Pipeline)?;
    let (mut outlet, mut inlet) = (transport.outlet(&topic).await?, transport.inlet(&topic).await?);
    let began = Instant::now();
    for number in 1..=ONE_BY_ONE {
        outlet.send(item(number)).await?;
        outlet.flush().await?;
    }
    tell("sent, each in its own call", ONE_BY_ONE, began);
    let began = Instant::now();
    for _ in 0..ONE_BY_ONE {
        take(&mut inlet).await?;
    }
    tell("received, in batches", ONE_BY_ONE, began);
    let began = Instant::now();
    for number in 1..=ONE_BY_ONE {
        outlet.send(item(number)).await?;
        outlet.flush().await?;
        take(&mut inlet).await?;
    }
    tell("sent and received, one at a time", ONE_BY_ONE, began);
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 1..=BATCHED {
            outlet.send(item(number)).await?;
        }
        outlet.close().await
    });
    for _ in 0..BATCHED {
        take(&mut inlet).await?;
    }
    sending.await??;
    tell("sent and received, in batches", BATCHED, began);
    drop(inlet);
    transport.close().await?;
    disconnect().await?;
    Ok(())
}

fn item(number: u64) -> Envelope {
    Envelope { number, ..Envelope::new(Kind::Data, "figures".into(), Content::Bytes, vec![b'x'; 1_000].into()) }
}

async fn take(inlet: &mut Box<dyn Inlet>) -> Result<(), Box<dyn Error>> {
    inlet.recv().await?.ok_or("the topic has ended")?.receipt.ack();
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn tell(what: &str, count: u64, began: Instant) {
    println!("{what}: {:.0} items/s", count as f64 / began.elapsed().as_secs_f64());
}
