/*
 * A stand-in for a provider, so cheap that what stands before it is what gets measured: one thread, one epoll set.
 *
 *     mock_upstream PORT EVENTS GAP_MS
 *
 * Listens on 127.0.0.1. A request is answered with one chat completion; a request with "stream":true among its first
 * KEPT_MAX bytes with EVENTS chunks, the first at once and then one every GAP_MS milliseconds, the last of which says
 * that the answer is complete, then an event with the usage, then [DONE]. The text of a chunk is a stamp: @ and the
 * microseconds of CLOCK_MONOTONIC at which it was sent, so that whoever reads it on the same machine knows how long it
 * was under way.
 * Requests need a Content-Length to have a body, a head of less than KEPT_MAX, and are not pipelined: whoever breaks
 * this, or reads its answer too slowly, is disconnected.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_MAX = 32 * 1024, READ_MAX = 256 * 1024, READY_MAX = 256, BACKLOG = 4096 };

static const char COMPLETION[] =
    "{\"id\":\"chatcmpl-0001\",\"object\":\"chat.completion\",\"created\":1750000000,\"model\":\"gpt-4o-mini\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
    "Paris has been the seat of French government, with interruptions, since the tenth century. It lies on the "
    "Seine in the north of the country, has about two million inhabitants within its limits and more than twelve "
    "million in its region, and is the centre of the railway and road networks. The constitution does not name a "
    "capital; a law does, by fixing the seats of both chambers of parliament there.\","
    "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":84,\"total_tokens\":274},"
    "\"system_fingerprint\":\"fp_mock\"}";

static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

#define EVENT_START \
    "data: {\"id\":\"chatcmpl-0001\",\"object\":\"chat.completion.chunk\",\"created\":1750000000," \
    "\"model\":\"gpt-4o-mini\","
#define TOKEN_EVENT EVENT_START "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" @%lld\"},\"finish_reason\":null}]}\n\n"
#define FINISH_EVENT EVENT_START "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE_EVENT EVENT_START \
    "\"choices\":[],\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n"
#define DONE_EVENT "data: [DONE]\n\n"

/* A caller. While events are left to send, it waits in the queue, also after it has gone (fd is then -1). Of its
 * request the start is kept; of the rest only the length. */
struct peer {
    struct peer *next;
    long long due_us;
    int fd;
    int events_left;
    size_t kept, dropped;
    char request[KEPT_MAX + 1];
};

/* Streams by when their next event is due; as all gaps are alike, that is the order in which they joined. */
static struct peer *first_due, *last_due;
static int epoll, token_events;
static long long gap_us;
static char answer[2048];
static size_t answer_length;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void join_queue(struct peer *peer, long long due_us) {
    peer->due_us = due_us;
    peer->next = NULL;
    if (first_due) last_due->next = peer;
    else first_due = peer;
    last_due = peer;
}

static void disconnect(struct peer *peer) {
    close(peer->fd);
    peer->fd = -1;
    if (!peer->events_left) free(peer);
}

static int send_all(struct peer *peer, const char *data, size_t length) {
    if (send(peer->fd, data, length, MSG_NOSIGNAL) == (ssize_t)length) return 1;
    disconnect(peer);
    return 0;
}

static void send_event(struct peer *peer) {
    char event[512], chunk[600];
    int left = peer->events_left--;
    int length;
    if (left > 3) length = snprintf(event, sizeof event, TOKEN_EVENT, now_us());
    else if (left == 3) length = snprintf(event, sizeof event, FINISH_EVENT);
    else if (left == 2) length = snprintf(event, sizeof event, USAGE_EVENT, token_events, 190 + token_events);
    else length = snprintf(event, sizeof event, DONE_EVENT);
    length = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n%s", length, event, left == 1 ? "0\r\n\r\n" : "");
    send_all(peer, chunk, length);
    if (left > 1) join_queue(peer, peer->due_us + gap_us);
}

static void start_stream(struct peer *peer) {
    if (!send_all(peer, STREAM_HEAD, sizeof STREAM_HEAD - 1)) return;
    peer->events_left = token_events + 2;
    peer->due_us = now_us();
    send_event(peer);
}

/* Send every event that is due, and return the milliseconds until the next one is; -1 if there is none. */
static int send_due_events(void) {
    long long now = now_us();
    while (first_due && first_due->due_us <= now) {
        struct peer *peer = first_due;
        first_due = peer->next;
        if (peer->fd < 0) free(peer);
        else send_event(peer);
    }
    return first_due ? (int)((first_due->due_us - now + 999) / 1000) : -1;
}

/* Return the length of the request that began to come; 0 if that is not known yet, -1 if it never will be. */
static long request_length(struct peer *peer, char **body) {
    char *head_end = strstr(peer->request, "\r\n\r\n");
    if (!head_end) return peer->kept == KEPT_MAX ? -1 : 0;
    *body = head_end + 4;
    char *field = strcasestr(peer->request, "\r\ncontent-length:");
    long body_length = field && field < head_end ? atol(field + 17) : 0;
    return body_length < 0 ? -1 : *body - peer->request + body_length;
}

static void answer_request(struct peer *peer) {
    char *body;
    peer->request[peer->kept] = '\0';
    long length = request_length(peer, &body), received = peer->kept + peer->dropped;
    if (length < 0 || (length && received > length)) disconnect(peer);
    else if (length && received == length) {
        peer->kept = peer->dropped = 0;
        if (strstr(body, "\"stream\":true")) start_stream(peer);
        else send_all(peer, answer, answer_length);
    }
}

static void receive(struct peer *peer) {
    static char rest[READ_MAX];
    size_t room = KEPT_MAX - peer->kept;
    ssize_t length = room ? recv(peer->fd, peer->request + peer->kept, room, 0) : recv(peer->fd, rest, READ_MAX, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0 || peer->events_left) {
        disconnect(peer);
        return;
    }
    if (room) peer->kept += length;
    else peer->dropped += length;
    answer_request(peer);
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *peer = calloc(1, sizeof *peer);
        if (!peer) fail("calloc");
        peer->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event interest = {.events = EPOLLIN, .data.ptr = peer};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest)) fail("epoll_ctl");
    }
}

static int listen_on(int port) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(listener, BACKLOG)) fail("listen");
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest)) fail("epoll_ctl");
    return listener;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s PORT EVENTS GAP_MS\n", argv[0]);
        return 2;
    }
    token_events = atoi(argv[2]);
    gap_us = atoi(argv[3]) * 1000LL;
    answer_length = snprintf(answer, sizeof answer,
                             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                             sizeof COMPLETION - 1, COMPLETION);
    epoll = epoll_create1(0);
    int listener = listen_on(atoi(argv[1]));
    for (;;) {
        struct epoll_event ready[READY_MAX];
        int count = epoll_wait(epoll, ready, READY_MAX, send_due_events());
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr) receive(ready[i].data.ptr);
            else accept_all(listener);
        }
    }
}
