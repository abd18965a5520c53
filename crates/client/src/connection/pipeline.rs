//! The client's end of one connection, without the socket.
//!
//! Owns: numbering requests, cutting answers out of the byte stream, matching both, deadlines.
//! Does not own: the socket and the clock (`driver`), what is asked and answered.
//!
//! Invariants
//! - I1 answers come in the order of requests: the front of `waiting` is the next one;
//! - I2 correlation ids in `waiting` are consecutive, but for requests that nobody answers;
//! - I3 every waiting request ends as exactly one answer or in `into_waiting`.
//!
//! Source: requirements WIRE-01 to WIRE-04.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::messages::ResponseHeader;
use ottla_protocol::{DecodeError, Message, Reader};

use super::frames::Frames;

/// Largest answer that is accepted. A broker's largest Fetch answer is bounded by `fetch.max.bytes` and one batch,
/// both below this.
pub(crate) const RESPONSE_BYTES_MAX: usize = 1 << 30;

/// Bytes read at once while the size of the answer is not known.
const SCRATCH_BYTES: usize = 16 * 1024;

const LENGTH_BYTES: usize = 4;
/// Where the correlation id stands in a request: behind the length, the API key and its version.
const CORRELATION_AT: usize = 8;

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error("frame length {got} is not between 4 and {RESPONSE_BYTES_MAX}")]
    FrameLength { got: i32 },
    #[error("answer {got} came where {expected:?} was expected")]
    OutOfOrder { got: i32, expected: Option<i32> },
    #[error("the header of an answer cannot be read: {0}")]
    Header(#[from] DecodeError),
}

/// A request that waits for its answer. `T` says who asked.
#[derive(Debug)]
struct Waiting<T> {
    correlation: i32,
    header_version: i16,
    deadline: Instant,
    asker: T,
}

/// What the pipeline must know of a request beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    /// Version of the header of the answer.
    pub header_version: i16,
    /// When the connection is given up if no answer has come.
    pub deadline: Instant,
}

/// Requests out, answers in.
#[derive(Debug)]
pub(crate) struct Pipeline<T> {
    next_correlation: i32,
    waiting: VecDeque<Waiting<T>>,
    /// Bytes that were read and not yet cut.
    scratch: Limit<BytesMut>,
    /// The frame being read when `scratch` did not have all of it; its room ends where the frame ends.
    frame: Option<Limit<BytesMut>>,
    frames: Frames,
    answers: VecDeque<(T, Bytes)>,
}

impl<T> Pipeline<T> {
    pub(crate) fn new() -> Pipeline<T> {
        Pipeline {
            next_correlation: 0,
            waiting: VecDeque::new(),
            scratch: BytesMut::with_capacity(SCRATCH_BYTES).limit(SCRATCH_BYTES),
            frame: None,
            frames: Frames::default(),
            answers: VecDeque::new(),
        }
    }

    /// Numbers a request frame (its length in front) that is about to be written. `answer` is who waits for an
    /// answer and what it looks like, or `None` where the broker sends none (PRD-19).
    pub(crate) fn on_request(&mut self, frame: &mut [u8], answer: Option<(T, Expectation)>) {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.checked_add(1).unwrap_or(0);
        let place = frame.get_mut(CORRELATION_AT..CORRELATION_AT + 4);
        place.expect("a request frame has a header").copy_from_slice(&correlation.to_be_bytes());
        if let Some((asker, expected)) = answer {
            let Expectation { header_version, deadline } = expected;
            self.waiting.push_back(Waiting { correlation, header_version, deadline, asker });
        }
    }

    /// Where the next bytes from the peer belong; never without room.
    pub(crate) fn space(&mut self) -> &mut Limit<BytesMut> {
        self.frame.as_mut().unwrap_or(&mut self.scratch)
    }

    /// Bytes were read into [`Pipeline::space`].
    pub(crate) fn on_read(&mut self) -> Result<(), PipelineError> {
        match self.frame.take_if(|frame| !frame.has_remaining_mut()) {
            Some(frame) => {
                let frame = self.frames.lend(frame.into_inner());
                self.on_frame(frame)
            }
            None if self.frame.is_some() => Ok(()),
            None => self.cut(),
        }
    }

    /// The next answer: who asked, and the bytes behind the header.
    pub(crate) fn poll_answer(&mut self) -> Option<(T, Bytes)> {
        self.answers.pop_front()
    }

    /// When the first waiting request is overdue.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.deadline).min()
    }

    /// Requests without an answer so far.
    pub(crate) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the connection; answers who still waits.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.waiting.into_iter().map(|waiting| waiting.asker)
    }

    /// Cuts whole frames out of the scratch buffer; the rest of a frame moves to its front or to a buffer of its
    /// own size.
    fn cut(&mut self) -> Result<(), PipelineError> {
        let mut at = 0;
        while let Some(length) = self.scratch.get_ref()[at..].first_chunk::<LENGTH_BYTES>() {
            let length = frame_length(*length)?;
            at += LENGTH_BYTES;
            let have = &self.scratch.get_ref()[at..];
            let Some(frame) = have.get(..length) else {
                let mut frame = self.frames.take(length);
                frame.put_slice(have);
                self.frame = Some(frame);
                self.keep_scratch(self.scratch.get_ref().len());
                return Ok(());
            };
            let frame = Bytes::copy_from_slice(frame);
            at += length;
            self.on_frame(frame)?;
        }
        self.keep_scratch(at);
        Ok(())
    }

    /// Drops what was cut, the first `cut` bytes.
    fn keep_scratch(&mut self, cut: usize) {
        let scratch = self.scratch.get_mut();
        scratch.copy_within(cut.., 0);
        scratch.truncate(scratch.len() - cut);
        let room = SCRATCH_BYTES - scratch.len();
        self.scratch.set_limit(room);
    }

    fn on_frame(&mut self, frame: Bytes) -> Result<(), PipelineError> {
        let got = Reader::new(&frame).i32()?;
        let expected = self.waiting.front().map(|waiting| waiting.correlation);
        if Some(got) != expected {
            return Err(PipelineError::OutOfOrder { got, expected });
        }
        let Some(waiting) = self.waiting.pop_front() else { return Ok(()) };
        let mut reader = Reader::new(&frame);
        ResponseHeader::decode(&mut reader, waiting.header_version)?;
        let body = frame.slice(reader.position()..);
        self.answers.push_back((waiting.asker, body));
        Ok(())
    }
}

fn frame_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, PipelineError> {
    let got = i32::from_be_bytes(bytes);
    match usize::try_from(got) {
        Ok(length) if (4..=RESPONSE_BYTES_MAX).contains(&length) => Ok(length),
        _ => Err(PipelineError::FrameLength { got }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request() -> Vec<u8> {
        vec![0; 20]
    }

    fn expectation(header_version: i16) -> Expectation {
        Expectation { header_version, deadline: Instant::now() + Duration::from_secs(1) }
    }

    fn answer(correlation: i32, rest: &[u8]) -> Vec<u8> {
        let length = i32::try_from(4 + rest.len()).unwrap();
        [&length.to_be_bytes(), &correlation.to_be_bytes(), rest].concat()
    }

    /// Feeds `bytes` in steps of `step` bytes.
    fn feed(pipeline: &mut Pipeline<u32>, bytes: &[u8], step: usize) -> Result<(), PipelineError> {
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                let space = pipeline.space();
                let count = rest.len().min(space.remaining_mut());
                space.put_slice(&rest[..count]);
                rest = &rest[count..];
                pipeline.on_read()?;
            }
        }
        Ok(())
    }

    fn asked(count: u32) -> Pipeline<u32> {
        let mut pipeline = Pipeline::new();
        for asker in 0..count {
            let mut frame = request();
            pipeline.on_request(&mut frame, Some((asker, expectation(0))));
            assert_eq!(frame[8..12], asker.to_be_bytes());
        }
        pipeline
    }

    /// WIRE-01, WIRE-04
    #[test]
    fn answers_are_cut_and_matched_however_the_bytes_arrive() {
        let large = vec![7; 100_000];
        let stream = [answer(0, b"one"), answer(1, &large), answer(2, b""), answer(3, b"four")].concat();
        for step in [1, 3, 4, 5, 1000, 16_384, 200_000] {
            let mut pipeline = asked(4);
            feed(&mut pipeline, &stream, step).unwrap();
            let answers: Vec<(u32, Bytes)> = std::iter::from_fn(|| pipeline.poll_answer()).collect();
            assert_eq!(answers.len(), 4, "step {step}");
            assert_eq!(answers[0], (0, Bytes::from_static(b"one")));
            assert_eq!(answers[1], (1, Bytes::from(large.clone())));
            assert_eq!(answers[2], (2, Bytes::new()));
            assert_eq!(answers[3], (3, Bytes::from_static(b"four")));
            assert_eq!(pipeline.in_flight(), 0);
        }
    }

    /// WIRE-03: flexible answers have tagged fields behind the correlation id.
    #[test]
    fn the_header_of_an_answer_is_cut_off_in_its_version() {
        let mut pipeline = Pipeline::new();
        pipeline.on_request(&mut request(), Some((1_u32, expectation(1))));
        feed(&mut pipeline, &answer(0, b"\0body"), 100).unwrap();
        assert_eq!(pipeline.poll_answer(), Some((1, Bytes::from_static(b"body"))));
    }

    /// WIRE-04, TRAP-01
    #[test]
    fn an_answer_out_of_order_ends_the_connection() {
        let mut pipeline = asked(2);
        let error = feed(&mut pipeline, &answer(1, b""), 100).unwrap_err();
        assert_eq!(error, PipelineError::OutOfOrder { got: 1, expected: Some(0) });
        assert_eq!(pipeline.into_waiting().collect::<Vec<_>>(), [0, 1]);
        let error = feed(&mut asked(0), &answer(0, b""), 100).unwrap_err();
        assert_eq!(error, PipelineError::OutOfOrder { got: 0, expected: None });
    }

    /// WIRE-01
    #[test]
    fn a_bad_frame_length_ends_the_connection() {
        for got in [-1, 0, 3, i32::MAX] {
            let error = feed(&mut asked(1), &got.to_be_bytes(), 4).unwrap_err();
            assert_eq!(error, PipelineError::FrameLength { got });
        }
    }

    /// PRD-19
    #[test]
    fn a_request_without_answer_takes_a_number_and_waits_for_nothing() {
        let mut pipeline = Pipeline::new();
        pipeline.on_request(&mut request(), None);
        pipeline.on_request(&mut request(), Some((7_u32, expectation(0))));
        assert_eq!(pipeline.in_flight(), 1);
        feed(&mut pipeline, &answer(1, b"x"), 100).unwrap();
        assert_eq!(pipeline.poll_answer(), Some((7, Bytes::from_static(b"x"))));
    }

    #[test]
    fn the_deadline_is_that_of_the_most_urgent_request() {
        let mut pipeline = Pipeline::new();
        assert_eq!(pipeline.deadline(), None);
        let now = Instant::now();
        for seconds in [9, 3, 5] {
            let deadline = now + Duration::from_secs(seconds);
            pipeline.on_request(&mut request(), Some((0_u32, Expectation { header_version: 0, deadline })));
        }
        assert_eq!(pipeline.deadline(), Some(now + Duration::from_secs(3)));
    }
}
