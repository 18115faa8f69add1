// Package client is a STOMP client that follows the leader of a cluster.
//
// It is given the addresses of all nodes, of which one serves at a time: the
// others refuse the connection. All are tried at once and the first that
// answers CONNECTED wins, so a node that accepts and then stays silent (it is
// paused, or cut off) costs nothing. When the connection is lost, everything
// that waits for a receipt ends in doubt, the client finds the new leader and
// renews its subscriptions. With Config.Resend a message in doubt is sent again
// under the same duplicate-suppression id, so that a queue stores it once. When a receipt is overdue but the connection
// stands, the client asks the other addresses, and moves if one of them serves.
//
// Frames are read and written by github.com/go-stomp/stomp/v3/frame. The Conn
// of that library is not used: it holds one lock from a send to its receipt,
// and a connection that dies in between keeps the sender for the whole receipt
// timeout and leaks the goroutine that wanted to say so. Here a lost
// connection wakes every waiter at once, and sends of many goroutines share
// one connection without waiting for each other.
//
// Threads: per client runSessions; per connection runRead, runWrite and
// runWatch; per subscription runHandle; while connecting one goroutine per
// address. All end in Close.
package client
