// Package policy says what a broker does about each destination: how often and
// when a message is delivered again, where it goes when that is of no use, how
// long it lives and how much a queue may hold. It is pure.
//
// A table is a list of rules, of which the first whose pattern fits counts. A
// rule that says nothing about something leaves it at its default. The file
// that operators write is
//
//	destinations:
//	  - match: /queue/orders.>
//	    redelivery:
//	      max: 6             # then it goes to the dead-letter queue; -1 is no limit
//	      delay: 1s          # before the first redelivery after a NACK
//	      multiplier: 2      # of the delay, each further time
//	      max-delay: 1m
//	      nack: redeliver    # or dead-letter, as ActiveMQ does with a NACK
//	    dead-letter:
//	      queue: DLQ.orders
//	      expired: true      # messages whose time is up go there, too
//	      non-persistent: false
//	      discard: false     # true: nothing goes there, all is dropped
//	    expiry:
//	      default: 24h       # for messages that name no time; 0 is for ever
//	      max: 48h           # for those that name a later one, or none; 0 is any
//	    limits:
//	      messages: 1000000  # 0 is no limit
//	      bytes: 10GiB
//	      message-size: 1MiB
//	      wait: 30s          # how long a producer waits for room before its ERROR
//	    prefetch: 100        # if the consumer names none
//
// The limits of messages and bytes are for those who send: no more is let in at
// any moment. Dead letters, what the schedule sends and what an operator moves
// go into a full queue too, and count.
package policy
