// Package stompserver speaks STOMP with the clients of a leader: it accepts
// their connections, checks their frames, and turns them into operations of
// the broker. It decides nothing about messages.
//
// A connection has two goroutines. runConn reads and handles frames; while
// earlier SENDs await their quorum it reads on, until the session's window is
// full. runWriter writes what others have put into the outbox: receipts from
// the proposer's goroutine, messages from the dispatchers, errors and answers
// from the reader. Everything that waits in the outbox when the writer comes
// round goes out in one write.
//
// What is proposed is flushed whenever the next read could block, so the
// frames of one network read become one batch of the log and nothing waits for
// bytes that may never come.
//
// Bounds: a client that sends too fast is not read from; one that reads too
// slowly gets no more messages, then is not read from either, and is cut when
// a write makes no progress for Config.WriteTimeout.
//
// An ERROR about one frame leaves the connection open, as ActiveMQ does; one
// after which the stream cannot be trusted closes it. When the leadership ends
// all sockets close without a word: what was sent and not confirmed is in
// doubt, and the client finds out at the next leader.
package stompserver
