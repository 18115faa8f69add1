// Package destination knows how clients name what they send to and receive
// from, and how the log names what belongs to it. It is pure: no clock, no
// locks, no input or output.
//
// # What clients write
//
//	/queue/NAME              a queue
//	/topic/NAME              a topic
//	/temp-queue/ALIAS        a temporary queue of this connection
//	/temp-topic/ALIAS        a temporary topic of this connection
//	/remote-temp-queue/NAME  a temporary queue of any connection, to send to
//	/remote-temp-topic/NAME  the same for a temporary topic
//
// A name is a path whose levels are separated by dots. In a pattern a level *
// stands for exactly one level, and a last level > for any number of further
// ones, none included: "a.>" is a, a.b and a.b.c, and ">" is everything. Several
// destinations with commas between them, each with its prefix, are a composite
// destination: what is sent goes to each of them.
//
// # What the log has beside
//
// The log knows queues only, by name. Names that begin with a control
// character, which no client can send, are the broker's own:
//
//	0x01 digit NAME               messages of that priority of the queue NAME
//	0x02 CLIENT 0x00 NAME 0x00 N  messages of the N-th making of a durable subscription
//	0x03 NAME                     the broker's own queues, such as the schedule
package destination
