/*
 * The load: the same request over and over, on connections that are kept.
 *
 *     load PORT CONNECTIONS RATE SECONDS NUMBERS < REQUEST
 *
 * Sends REQUEST, head and body, to 127.0.0.1 for SECONDS, then waits for the answers that are still to come. Wherever it
 * has ##########, there comes the number of the request, counted from 0 up to NUMBERS and then from 0 again.
 *
 * With a RATE of 0 each connection sends its next request when it has its answer (closed loop). Otherwise RATE requests
 * a second are due, whatever becomes of those before (open loop). One that is due while no connection is free waits for
 * one, and its time counts from when it was due: so a server that stalls is charged with all that it kept waiting (no
 * coordinated omission).
 *
 * Writes a line an answer, times in microseconds:
 *
 *     STATUS AT TOOK FIRST_EVENT BYTES DELAY DELAY …
 *
 * AT is when it was whole, from the start; TOOK is from due, or sent, to then; FIRST_EVENT from due to the first stamp
 * in it (see mock_upstream.c; 0 if there is none); BYTES is its length; and each DELAY is from a stamp to when it was
 * read here. Answers need a Content-Length or chunks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_MAX = 32 * 1024,
    READ_MAX = 256 * 1024,
    READY_MAX = 256,
    EVENTS_MAX = 1024,
    NUMBERS_MAX = 8,
    DIGITS = 10,
    TIMER_SLACK_NS = 1000,
};

static const char NUMBER[] = "##########";
static const char LAST_CHUNK[] = "\r\n0\r\n\r\n";

/* A connection, and the request under way on it, if any (is_busy). It is numbered when it is sent first, and before
 * the rest is sent again, as all share the text. */
struct caller {
    struct caller *next_free;
    int fd; /* -1: not connected */
    int is_busy;
    long number;
    long long due_us, first_event_us, stamp_us;
    size_t sent, bytes, head_length;
    int status, is_in_stamp, is_chunked, matched, delay_count;
    long long body_left;
    int delays[EVENTS_MAX];
    char head[HEAD_MAX + 1];
};

static struct sockaddr_in address;
static struct caller *first_free;
static int epoll;
static long started, answered, numbers;
static long long start_us;
static char *request, *number_places[NUMBERS_MAX];
static size_t request_length;
static int number_count;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void give_up(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void read_request(void) {
    size_t room = 1 << 16, length;
    request = malloc(room);
    while (request && (length = fread(request + request_length, 1, room - request_length, stdin))) {
        request_length += length;
        if (request_length == room) request = realloc(request, room *= 2);
    }
    if (!request) fail("the request");
    char *place = request;
    while ((place = memmem(place, request + request_length - place, NUMBER, DIGITS))) {
        if (number_count == NUMBERS_MAX) give_up("the request has too many numbers");
        number_places[number_count++] = place;
        place += DIGITS;
    }
}

static void write_number(long number) {
    char digits[DIGITS + 1];
    snprintf(digits, sizeof digits, "%0*ld", DIGITS, number);
    for (int i = 0; i < number_count; i++) memcpy(number_places[i], digits, DIGITS);
}

static void connect_caller(struct caller *caller) {
    int on = 1;
    caller->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(caller->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    fcntl(caller->fd, F_SETFL, O_NONBLOCK);
    setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = caller};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, caller->fd, &interest)) fail("epoll_ctl");
}

static void send_rest(struct caller *caller) {
    if (caller->sent == request_length) return;
    write_number(caller->number);
    while (caller->sent < request_length) {
        ssize_t length = send(caller->fd, request + caller->sent, request_length - caller->sent, MSG_NOSIGNAL);
        if (length < 0 && errno == EAGAIN) return;
        if (length < 0) fail("send");
        caller->sent += length;
    }
}

static void start_request(struct caller *caller, long long due_us) {
    if (caller->fd < 0) connect_caller(caller);
    caller->is_busy = 1;
    caller->number = started++ % numbers;
    caller->due_us = due_us;
    caller->first_event_us = caller->stamp_us = 0;
    caller->sent = caller->bytes = caller->head_length = 0;
    caller->status = caller->is_in_stamp = caller->is_chunked = caller->matched = caller->delay_count = 0;
    send_rest(caller);
}

static void finish_request(struct caller *caller, long long at_us) {
    printf("%d %lld %lld %lld %zu", caller->status, at_us - start_us, at_us - caller->due_us, caller->first_event_us,
           caller->bytes);
    for (int i = 0; i < caller->delay_count; i++) printf(" %d", caller->delays[i]);
    putchar('\n');
    answered++;
    caller->is_busy = 0;
    caller->next_free = first_free;
    first_free = caller;
}

static void note_event(struct caller *caller, long long at_us) {
    if (!caller->delay_count) caller->first_event_us = at_us - caller->due_us;
    if (caller->delay_count == EVENTS_MAX) give_up("an answer has too many events");
    caller->delays[caller->delay_count++] = at_us - caller->stamp_us;
}

static void read_stamps(struct caller *caller, const char *body, size_t length, long long at_us) {
    for (size_t i = 0; i < length; i++) {
        int is_digit = body[i] >= '0' && body[i] <= '9';
        if (body[i] == '@') {
            caller->is_in_stamp = 1;
            caller->stamp_us = 0;
        } else if (caller->is_in_stamp && is_digit) {
            caller->stamp_us = 10 * caller->stamp_us + body[i] - '0';
        } else if (caller->is_in_stamp) {
            caller->is_in_stamp = 0;
            note_event(caller, at_us);
        }
    }
}

static int has_last_chunk(struct caller *caller, const char *body, size_t length) {
    for (size_t i = 0; i < length && LAST_CHUNK[caller->matched]; i++) {
        if (body[i] == LAST_CHUNK[caller->matched]) caller->matched++;
        else caller->matched = body[i] == '\r';
    }
    return !LAST_CHUNK[caller->matched];
}

static void take_body(struct caller *caller, const char *body, size_t length, long long at_us) {
    read_stamps(caller, body, length, at_us);
    caller->body_left -= length;
    if (caller->is_chunked ? has_last_chunk(caller, body, length) : caller->body_left == 0) {
        finish_request(caller, at_us);
    } else if (!caller->is_chunked && caller->body_left < 0) {
        give_up("an answer is longer than its Content-Length");
    }
}

/* Take what belongs to the head; return how much that was. */
static size_t take_head(struct caller *caller, const char *data, size_t length) {
    size_t before = caller->head_length, room = HEAD_MAX - before;
    size_t copied = length < room ? length : room;
    memcpy(caller->head + before, data, copied);
    caller->head[before + copied] = '\0';
    char *end = strstr(caller->head, "\r\n\r\n");
    if (!end) {
        if (copied == room) give_up("the head of an answer is too long");
        caller->head_length += copied;
        return copied;
    }
    end[2] = '\0';
    caller->head_length = end + 4 - caller->head;
    char *size = strcasestr(caller->head, "\r\ncontent-length:");
    caller->status = atoi(caller->head + sizeof "HTTP/1.1");
    caller->body_left = size ? atoll(size + 17) : 0;
    caller->is_chunked = strcasestr(caller->head, "\r\ntransfer-encoding: chunked\r\n") != NULL;
    /* The line break that ends the head is the one before a last chunk that is also the first. */
    caller->matched = 2;
    return caller->head_length - before;
}

static void take(struct caller *caller, const char *data, size_t length) {
    long long at_us = now_us();
    if (!caller->is_busy) give_up("there is more than an answer");
    caller->bytes += length;
    if (!caller->status) {
        size_t head = take_head(caller, data, length);
        data += head;
        length -= head;
    }
    if (caller->status) take_body(caller, data, length, at_us);
}

static void receive(struct caller *caller) {
    static char data[READ_MAX];
    for (;;) {
        ssize_t length = recv(caller->fd, data, sizeof data, 0);
        if (length > 0) {
            take(caller, data, length);
            continue;
        }
        if (length < 0 && errno == EAGAIN) return;
        if (caller->is_busy && length == 0) give_up("a connection was closed before its answer was whole");
        if (caller->is_busy) fail("recv");
        /* A server may let go of an idle connection; the next request makes a new one. */
        close(caller->fd);
        caller->fd = -1;
        return;
    }
}

/* Return when the next request is due: now, in a closed loop. */
static long long next_due_us(double rate) {
    return rate > 0 ? start_us + (long long)(started / rate * 1e6) : now_us();
}

/* Have free callers send what is due; return whether one is left to wait for when the next is due. */
static int start_due_requests(double rate, long long end_us) {
    while (first_free) {
        long long due_us = next_due_us(rate);
        if (due_us >= end_us) return 0;
        if (due_us > now_us()) return 1;
        struct caller *caller = first_free;
        first_free = caller->next_free;
        start_request(caller, due_us);
    }
    return 0;
}

static void wait_and_proceed(int is_waiting, long long due_us) {
    struct epoll_event ready[READY_MAX];
    long long wait_us = due_us - now_us();
    if (wait_us < 0) wait_us = 0;
    struct timespec timeout = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int found = epoll_pwait2(epoll, ready, READY_MAX, is_waiting ? &timeout : NULL, NULL);
    for (int i = 0; i < found; i++) {
        struct caller *caller = ready[i].data.ptr;
        if (caller->is_busy) send_rest(caller);
        receive(caller);
    }
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS RATE SECONDS NUMBERS < REQUEST\n", argv[0]);
        return 2;
    }
    address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    double rate = atof(argv[3]);
    numbers = atol(argv[5]);
    read_request();
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    epoll = epoll_create1(0);
    for (int i = 0; i < atoi(argv[2]); i++) {
        struct caller *caller = calloc(1, sizeof *caller);
        if (!caller) fail("calloc");
        caller->fd = -1;
        caller->next_free = first_free;
        first_free = caller;
    }
    start_us = now_us();
    long long end_us = start_us + (long long)(atof(argv[4]) * 1e6);
    for (;;) {
        int is_waiting = start_due_requests(rate, end_us);
        if (!is_waiting && answered == started && next_due_us(rate) >= end_us) return 0;
        wait_and_proceed(is_waiting, next_due_us(rate));
    }
}
