//! `ottla-bench yardstick PORT DIRECTORY PARTITIONS DURABILITY VALIDATION RETENTION`: the smallest program that could do a broker's job.
//!
//! It reads frames into a buffer that it uses again, checks the batch as a leader must (the same pass over its records,
//! or its header and checksum only), writes the offset into it, appends it with one `pwrite`, and answers; or it sends
//! from the page cache. Closed segments are flushed beside the requests, as Kafka's are: whoever never writes back does
//! not promise the same. Nothing else: no metadata, no permissions, no index. What a broker needs beyond it is the
//! broker's own.
//!
//! Owns: the start. Does not own: connections (`serve`), requests (`request`), batches (`check`), files (`log`).
//!
//! Source: performance specification, section 3.

mod check;
mod log;
mod request;
mod serve;

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::record::ValidationDepth;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::Fallible;
use crate::processor::processors;
use crate::system::Durability;

/// What a socket holds that was sent: with Kafka's default, `sendfile` of large pieces is almost twice as fast as with what
/// the system takes by itself, for the receiver copies what still lies in the processor's cache. Received is fastest with
/// what the system takes.
const SEND_BUFFER_BYTES: usize = 100 * 1024;

/// Serves until the process is ended.
pub fn run(arguments: &[String]) -> Fallible<()> {
    let [port, directory, partitions, durability, validation, retention] = arguments else {
        return Err(
            "usage: ottla-bench yardstick PORT DIRECTORY PARTITIONS page-cache|flushed full|header BYTES"
                .into(),
        );
    };
    let durability = match durability.as_str() {
        "page-cache" => Durability::PageCache,
        "flushed" => Durability::Flushed,
        other => return Err(format!("'{other}' is no durability").into()),
    };
    let depth = match validation.as_str() {
        "full" => ValidationDepth::Full,
        "header" => ValidationDepth::Header,
        other => return Err(format!("'{other}' is no validation").into()),
    };
    let plan = log::LogPlan { durability, retention_bytes: retention.parse()? };
    let logs = log::Logs::create(Path::new(directory), partitions.parse()?, plan)?;
    let port: u16 = port.parse()?;
    let workers = usize::try_from(processors())?;
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
            let connection = serve::Connection::new(stream, Arc::clone(&logs), check::Check::new(depth)?);
            tokio::spawn(async move {
                if let Err(error) = connection.run().await {
                    eprintln!("connection lost: {error}");
                }
            });
        }
    })
}
