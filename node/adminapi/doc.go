// Package adminapi is what a node tells the outside over its admin HTTP
// listener: the types of its JSON answers and a client for them. Console, demo
// and command line see a node through this package alone, so whatever they
// show can be scripted.
//
//	GET  /v1/status            Status
//	GET  /v1/queues            []Queue
//	GET  /v1/events?after=SEQ  server-sent events, each one Event as JSON
//	POST /v1/transfer?to=NODE  hand leadership to a caught-up follower
//	POST /v1/shutdown          stop the node cleanly
//	GET  /metrics              Prometheus text format
//	GET  /healthz              200 while the process works
//	GET  /readyz               200 while the node leads and serves, or follows a leader
//
// Control verbs (POST) need the bearer token of the node, if it has one; an
// answer other than 2xx carries an Error as JSON. Times are RFC 3339 with
// nanoseconds; positions are bytes.
package adminapi
