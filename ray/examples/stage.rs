//! One stage of a pipeline over two OS processes: `stage send ADDRESS NAMESPACE` and `stage receive ADDRESS NAMESPACE`,
//! in either order. `stage hold …` takes an item and keeps it.

use std::error::Error;
use std::sync::Arc;

use procession_ray::{RayConfig, RayTransport, disconnect};
use procession_transport::channel::{ChannelError, Connector, ConnectorBuilder};
use procession_transport::{Mode, Topic, Transport};
use serde::{Deserialize, Serialize};

/// Items of different kinds.
#[derive(Debug, Serialize, Deserialize)]
enum Thing {
    Nothing,
    Number(i64),
    Share(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Thing>),
    Pair(bool, char),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, namespace] = arguments.as_slice() else {
        return Err("stage send|receive|hold ADDRESS NAMESPACE".into());
    };
    let config = RayConfig::new(address, namespace).with_lease(std::time::Duration::from_secs(6));
    let transport = Arc::new(RayTransport::connect(config).await?);
    let connector: Connector<Thing> =
        ConnectorBuilder::new(Arc::clone(&transport) as _).build(&"a.out..b.in_1".parse()?)?;
    match role.as_str() {
        "send" => send(&connector).await?,
        "receive" => receive(&connector).await?,
        _ => {
            let mut inlet = transport.inlet(&Topic::new("a.out..b.in_1", Mode::Pipeline)?).await?;
            let held = inlet.recv().await?;
            println!("holds {}", held.as_ref().map_or(0, |held| held.envelope.number));
            std::future::pending::<()>().await;
        }
    }
    transport.close().await?;
    disconnect().await?;
    Ok(())
}

async fn send(connector: &Connector<Thing>) -> Result<(), ChannelError> {
    let mut sender = connector.connect_send().await?;
    let list = Thing::List(vec![Thing::Number(1), Thing::Nothing]);
    let (text, bytes) = (Thing::Text("ü".to_owned()), Thing::Bytes(vec![0, 255]));
    for thing in [Thing::Nothing, Thing::Number(-1), Thing::Share(0.1), text, bytes, list, Thing::Pair(true, 'x')] {
        sender.send(thing).await?;
    }
    sender.close().await
}

async fn receive(connector: &Connector<Thing>) -> Result<(), ChannelError> {
    let mut receiver = connector.connect_recv().await?;
    loop {
        match receiver.recv().await {
            Ok(thing) => println!("{thing:?}"),
            Err(ChannelError::Closed { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    println!("the end");
    Ok(())
}
