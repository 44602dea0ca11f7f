//! What a broker says of itself before anybody has logged in. lapin does not hand it on, so it is asked once more.

use lapin::protocol::connection::AMQPMethod;
use lapin::protocol::{AMQPClass, parse_class};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use crate::limits;
use crate::message::Node;

/// Bytes of a greeting; it is about 500.
const GREETING: u32 = 1 << 17;

/// Asks a broker for its properties.
pub(super) fn properties(uri: &AMQPUri) -> io::Result<Node> {
    let addresses = (uri.authority.host.as_str(), uri.authority.port).to_socket_addrs()?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, limits::CONNECT).and_then(ask) {
            Ok(properties) => return Ok(properties),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut stream: TcpStream) -> io::Result<Node> {
    stream.set_read_timeout(Some(limits::CONNECT))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut header = [0; 7];
    stream.read_exact(&mut header)?;
    let [kind, _, _, size @ ..] = header;
    let size = u32::from_be_bytes(size);
    let other = || io::Error::new(io::ErrorKind::InvalidData, "the broker does not speak AMQP 0-9-1");
    if kind != 1 || size > GREETING {
        return Err(other());
    }
    let mut frame = Vec::new();
    stream.take(u64::from(size)).read_to_end(&mut frame)?;
    match parse_class(frame.as_slice()) {
        Ok((_, AMQPClass::Connection(AMQPMethod::Start(start)))) => Ok(mapping(&start.server_properties)),
        _ => Err(other()),
    }
}

fn mapping(table: &FieldTable) -> Node {
    Node::mapping(table.inner().iter().map(|(key, value)| (key.as_str(), node(value))))
}

fn node(value: &AMQPValue) -> Node {
    match value {
        AMQPValue::Boolean(truth) => Node::from(*truth),
        AMQPValue::ShortShortInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::ShortShortUInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::ShortInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::ShortUInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::LongInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::LongUInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::LongLongInt(integer) => Node::Integer((*integer).into()),
        AMQPValue::Timestamp(seconds) => Node::Integer((*seconds).into()),
        AMQPValue::Float(float) => Node::Float((*float).into()),
        AMQPValue::Double(float) => Node::Float(*float),
        AMQPValue::ShortString(text) => Node::text(text.as_str()),
        AMQPValue::LongString(text) => Node::text(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::FieldTable(table) => mapping(table),
        AMQPValue::FieldArray(array) => Node::Sequence(array.as_slice().iter().map(node).collect()),
        AMQPValue::DecimalValue(_) | AMQPValue::ByteArray(_) | AMQPValue::Void => Node::Null,
    }
}
