// Package ensemble runs real ZooKeeper servers, one or an ensemble of them, as
// child processes from the jars of a Debian system, for demonstrations,
// benchmarks and tests of Baton on the thing itself. They listen on loopback
// only and keep no secret: it is no way to run ZooKeeper in production.
//
// # What is started
//
// Server N has the directory DIR/zookeeperN (zoo.cfg, which is written anew at
// each Open, myid, data, log), the log file DIR/zookeeperN.log, and three ports
// (see PortsAt). Ticks are 200 ms, so that sessions end close to their timeout
// and a frozen leader is noticed within 2 s; sessions of 200 ms to 60 s are
// granted; the admin server is off, all four-letter words are on.
//
// Each server is a supervisor.Process of its own: it can be killed, paused,
// stopped and started while the others go on. A Java process does not watch
// its parent, so the kernel's parent-death signal alone keeps it from
// outliving this one, which is why only Linux is served.
//
// # Threads
//
// One runProbe per server, from Open until Close: it asks the server for its
// mode with srvr, which unlike ruok is answered with a mode only by a server
// that has loaded its data and found a quorum. During its start a server may
// leave such a question unanswered, so each has a short deadline. The
// processes have the goroutines of the supervisor.
//
// Locks: Server.mu guards the mode and is a leaf.
package ensemble
