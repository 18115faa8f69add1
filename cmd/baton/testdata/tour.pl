# Walks through a broker's features with Net::Stomp. Usage and output are those
# of tour.py; Net::Stomp does not escape headers, so none here needs it.
use strict;
use warnings;
use Net::Stomp;
binmode STDOUT, ':utf8';
$| = 1;
$SIG{ALRM} = sub { die "nothing came within 30 s" };

my ($addresses, $prefix) = @ARGV;
my $list = join ',', map {"tcp://$_"} split /,/, $addresses;
my ($stomp, $receipts, @held) = (undef, 0);

# connect_again connects through the list, however long nobody serves.
sub connect_again {
    @held = ();
    while (1) {
        my $answer = eval {
            $stomp = Net::Stomp->new({ failover => "failover:($list)", initial_reconnect_attempts => 0, connect_delay => 0.1 });
            $stomp->connect({ 'accept-version' => '1.2', host => '/', 'client-id' => $prefix, login => '', passcode => '' });
        };
        return if $answer && $answer->command eq 'CONNECTED';
    }
}

sub raw {
    alarm 30;
    my $f = $stomp->receive_frame or die 'the connection ended';
    alarm 0;
    return $f;
}

# receipt waits for the receipt of what was just asked for; messages come after.
sub receipt {
    my $id = "r$receipts";
    while (1) {
        my $f = raw();
        if ($f->command eq 'MESSAGE') { push @held, $f; next }
        return if $f->command eq 'RECEIPT' && $f->headers->{'receipt-id'} eq $id;
        die $f->as_string;
    }
}
sub fresh { return (receipt => 'r' . ++$receipts) }

sub message {
    my $f = @held ? shift @held : raw();
    die $f->as_string unless $f->command eq 'MESSAGE';
    return $f;
}

sub same {
    my ($f, $want) = @_;
    die 'got ' . $f->body . ", want $want" unless $f->body eq $want;
    return $f;
}

sub put {
    my ($to, $body, %headers) = @_;
    $stomp->send({ destination => $to, body => $body, persistent => 'true', %headers, fresh() });
    receipt();
}

sub listen_to {
    my ($to, $id, $ack, %headers) = @_;
    $stomp->subscribe({ destination => $to, id => $id, ack => $ack, %headers, fresh() });
    receipt();
}

sub leave_off {
    my ($id, %headers) = @_;
    $stomp->unsubscribe({ id => $id, %headers, fresh() });
    receipt();
}

sub settle {
    my ($verb, $f, %headers) = @_;
    $stomp->$verb({ frame => $f, id => $f->headers->{ack}, %headers, fresh() });
    receipt();
}

sub transaction {
    my ($verb, $name) = @_;
    $stomp->send_frame(Net::Stomp::Frame->new({ command => $verb, headers => { transaction => $name, fresh() } }));
    receipt();
}

sub bye { $stomp->disconnect; connect_again() }

my @features = (
    receipts => sub {
        my $q = shift;
        put($q, "gr\xc3\xbc\xc3\x9f \xf0\x9d\x84\x9e", color => 'red');
        listen_to($q, 1, 'auto');
        my $f = same(message(), "gr\xc3\xbc\xc3\x9f \xf0\x9d\x84\x9e");
        die 'color' unless $f->headers->{color} eq 'red';
        leave_off(1);
    },
    ack_client => sub {
        my $q = shift;
        put($q, $_) for qw(a b c);
        listen_to($q, 1, 'client');
        my @f = map { same(message(), $_) } qw(a b c);
        settle('ack', $f[1]);
        leave_off(1);
        listen_to($q, 2, 'client');
        settle('ack', same(message(), 'c'));
        leave_off(2);
    },
    ack_individual => sub {
        my $q = shift;
        put($q, $_) for qw(a b c);
        listen_to($q, 1, 'client-individual');
        my @f = map { same(message(), $_) } qw(a b c);
        settle('ack', $f[1]);
        leave_off(1);
        listen_to($q, 2, 'client-individual');
        @f = map { same(message(), $_) } qw(a c);
        settle('ack', $_) for @f;
        leave_off(2);
    },
    nack => sub {
        my $q = shift;
        put($q, 'n');
        listen_to('/queue/ActiveMQ.DLQ', 'dead', 'client-individual');
        listen_to($q, 1, 'client-individual');
        settle('nack', message());
        my $f = same(message(), 'n');
        settle('ack', $f);
        leave_off(1);
        leave_off('dead');
        return $f->headers->{subscription} eq 'dead' ? 'dead-lettered' : 'redelivered';
    },
    transactions => sub {
        my $q = shift;
        transaction('BEGIN', 't1');
        put($q, 'gone', transaction => 't1');
        transaction('ABORT', 't1');
        transaction('BEGIN', 't2');
        put($q, 'kept', transaction => 't2');
        transaction('COMMIT', 't2');
        listen_to($q, 1, 'client-individual');
        my $f = same(message(), 'kept');
        transaction('BEGIN', 't3');
        settle('ack', $f, transaction => 't3');
        transaction('ABORT', 't3');
        leave_off(1);
        listen_to($q, 2, 'client-individual');
        settle('ack', same(message(), 'kept'));
        leave_off(2);
    },
    selector => sub {
        (my $t = shift) =~ s{/queue/}{/topic/};
        listen_to($t, 1, 'auto', selector => q{color = 'red' AND size > 5});
        put($t, 'a', color => 'blue', size => 9);
        put($t, 'b', color => 'red', size => 3);
        put($t, 'c', color => 'red', size => 7);
        same(message(), 'c');
        leave_off(1);
    },
    durable => sub { found(leave(shift)) },
    reply => sub {
        my $q = shift;
        listen_to('/temp-queue/back', 1, 'auto');
        listen_to($q, 2, 'auto');
        put($q, 'question', 'reply-to' => '/temp-queue/back');
        my $f = same(message(), 'question');
        put($f->headers->{'reply-to'}, 'answer');
        $f = same(message(), 'answer');
        die 'wrong subscription' unless $f->headers->{subscription} eq '1';
        leave_off(1);
        leave_off(2);
    },
);

my @name = ('activemq.subscriptionName' => 'd');

# leave leaves a message for a durable subscription whose owner is away.
sub leave {
    (my $t = shift) =~ s{/queue/}{/topic/};
    listen_to($t, 1, 'client-individual', @name);
    bye();
    put($t, 'while away');
    return $t;
}

sub found {
    listen_to(shift, 1, 'client-individual', @name);
    settle('ack', same(message(), 'while away'));
    bye();
    leave_off(1, @name);
}

sub walk {
    my $times = shift;
    for (my $i = 0; $i < @features; $i += 2) {
        my ($name, $do) = @features[$i, $i + 1];
        my $result = $do->("/queue/$prefix.$times.$name");
        $result = '' unless $name eq 'nack';
        print "ok $name $result\n";
    }
}

connect_again();
walk(1);
my $left = leave("/queue/$prefix.left");
print "kill\n";
if (defined(my $line = <STDIN>)) {
    connect_again();
    found($left);
    print "ok survived\n";
    walk(2);
}
$stomp->disconnect;
