//! A client and a server built on `env::net` alone, under the simulated network.

use std::io;
use std::sync::Arc;

use ottla_env::clock::{Clock, SystemClock};
use ottla_env::net::{ListenOptions, Listener, SocketOptions, Stream, resolve};
use ottla_env::task;
use ottla_env::time::{self, Duration};
use ottla_testkit::network::{self, Sim, simulation};
use parking_lot::Mutex;

const PORT: u16 = 9092;
const PATIENCE: Duration = Duration::from_secs(1);

/// What happened, with virtual times.
type Trace = Arc<Mutex<Vec<String>>>;

/// Answers each message of 5 bytes with the same bytes. Reader and writer are tasks of their own.
async fn serve() -> io::Result<()> {
    let listener = Listener::bind("", PORT, ListenOptions::default()).await.map_err(io::Error::other)?;
    loop {
        let stream = Arc::new(listener.accept().await?);
        let (sender, mut messages) = ottla_env::sync::mpsc::channel::<[u8; 5]>(16);
        let writer = Arc::clone(&stream);
        task::spawn(async move {
            while let Some(message) = messages.recv().await {
                if writer.write_all(&[&message[..2], &message[2..]]).await.is_err() {
                    break;
                }
            }
        });
        task::spawn(async move {
            let mut message = [0; 5];
            while stream.read_exact(&mut message).await.is_ok() {
                if sender.send(message).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn connect() -> io::Result<Stream> {
    let addresses = resolve("server", PORT).await?;
    Stream::connect(addresses[0], SocketOptions::default()).await
}

async fn ask(stream: &Stream, message: &[u8; 5]) -> io::Result<()> {
    stream.write_all(&[message]).await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, message);
    Ok(())
}

/// Asks once a second for ten seconds, connecting again whenever a connection fails or stays silent.
async fn ask_ten_times(trace: Trace) -> io::Result<()> {
    let start = time::now();
    let mut open = None;
    for round in 0..10_u64 {
        time::sleep_until(start + Duration::from_secs(round)).await;
        let attempt = async {
            let stream = match open.take() {
                Some(stream) => stream,
                None => connect().await?,
            };
            ask(&stream, b"hello").await?;
            Ok::<Stream, io::Error>(stream)
        };
        let outcome = match time::timeout(PATIENCE, attempt).await {
            Ok(Ok(stream)) => {
                open = Some(stream);
                "answered".to_owned()
            }
            Ok(Err(error)) => format!("{:?}", error.kind()),
            Err(time::Elapsed) => "silence".to_owned(),
        };
        let passed = time::now() - start;
        trace.lock().push(format!("{round} {outcome} after {} us", passed.as_micros()));
    }
    Ok(())
}

fn set_up(sim: &mut Sim<'static>) -> Trace {
    let trace = Trace::default();
    sim.host("server", || async { Ok(serve().await?) });
    let seen = Arc::clone(&trace);
    sim.client("client", async move { Ok(ask_ten_times(seen).await?) });
    trace
}

/// Steps the simulation until so much virtual time has passed.
fn step_until(sim: &mut Sim<'static>, passed: Duration) {
    while sim.elapsed() < passed {
        sim.step().expect("no host fails");
    }
}

fn outcomes(trace: &Trace) -> Vec<String> {
    let word = |line: &String| line.split(' ').nth(1).map(str::to_owned);
    trace.lock().iter().filter_map(word).collect()
}

#[test]
fn messages_take_their_time_and_arrive() {
    network::run(10, |sim, _| {
        let trace = set_up(sim);
        sim.run().unwrap();
        assert_eq!(outcomes(&trace), ["answered"; 10]);
        let first = trace.lock()[0].clone();
        let micros: u64 = first.split(' ').nth(3).and_then(|text| text.parse().ok()).unwrap();
        // Handshake and question with answer: four ways of at most 40 ms, rounded up to ticks.
        assert!((1_000..=170_000).contains(&micros), "{first}");
    });
}

#[test]
fn a_partition_means_silence_until_it_is_repaired() {
    network::run(10, |sim, _| {
        let trace = set_up(sim);
        step_until(sim, Duration::from_millis(2_500));
        sim.partition("client", "server");
        step_until(sim, Duration::from_millis(5_500));
        sim.repair("client", "server");
        sim.run().unwrap();
        let outcomes = outcomes(&trace);
        assert_eq!(outcomes[..3], ["answered"; 3]);
        assert!(outcomes[3..6].iter().all(|outcome| outcome != "answered"), "{outcomes:?}");
        assert_eq!(outcomes[6..], ["answered"; 4]);
    });
}

#[test]
fn a_crashed_server_cuts_its_connections_and_serves_again_after_a_restart() {
    network::run(10, |sim, _| {
        let trace = set_up(sim);
        step_until(sim, Duration::from_millis(2_500));
        sim.crash("server");
        step_until(sim, Duration::from_millis(4_500));
        sim.bounce("server");
        sim.run().unwrap();
        let outcomes = outcomes(&trace);
        assert_eq!(outcomes[..3], ["answered"; 3]);
        assert_eq!(outcomes[3..5], ["UnexpectedEof", "ConnectionRefused"]);
        assert_eq!(outcomes[5..], ["answered"; 5]);
    });
}

#[test]
fn equal_seeds_give_equal_runs_to_the_microsecond() {
    let run = |seed| {
        let mut sim = simulation(seed);
        sim.set_fail_rate(0.05);
        let trace = set_up(&mut sim);
        sim.run().unwrap();
        Arc::into_inner(trace).expect("the client has ended").into_inner()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn clocks_and_dedicated_work_follow_virtual_time() {
    let mut sim = simulation(0);
    sim.client("client", async {
        let clock = SystemClock;
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let work = task::spawn_dedicated("flusher", async {
            time::sleep(Duration::from_secs(30)).await;
            7
        })?;
        assert_eq!(work.await, Ok(7));
        assert_eq!(clock.now().millis_since(wall), 30_000);
        assert!(clock.monotonic() - monotonic >= Duration::from_secs(30));
        let mut signals = task::Signals::listen()?;
        assert!(time::timeout(PATIENCE, signals.next()).await.is_err());
        Ok(())
    });
    sim.run().unwrap();
}

/// A build with the simulated network serves the real one as well: outside a simulation nothing is simulated.
#[test]
fn outside_a_simulation_the_network_is_real() {
    task::block_on(async {
        let listener = Listener::bind("127.0.0.1", 0, ListenOptions::default()).await.unwrap();
        let connect = Stream::connect(listener.local_addr(), SocketOptions::default());
        let (near, far) = task::join!(connect, listener.accept());
        let (near, far) = (near.unwrap(), far.unwrap());
        near.write_all(&[b"hello"]).await.unwrap();
        let mut message = [0; 5];
        far.read_exact(&mut message).await.unwrap();
        assert_eq!(&message, b"hello");
    })
    .unwrap();
}
