/* A host of the lwIP stack on the TAP device named by $PRECONFIGURED_TAPIF: 10.79.0.2, port 80. */

#include <stdio.h>
#include <unistd.h>

#include <lwip/netif.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <netif/tapif.h>

static struct netif tap;

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err) {
    (void)arg;
    if (err == ERR_OK && pcb != NULL)
        tcp_abort(pcb);
    return ERR_ABRT;
}

static void start(void *arg) {
    ip4_addr_t address, mask, router;
    IP4_ADDR(&address, 10, 79, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&router, 10, 79, 0, 1);
    netif_add(&tap, &address, &mask, &router, NULL, tapif_init, tcpip_input);
    netif_set_default(&tap);
    netif_set_up(&tap);
    netif_set_link_up(&tap);
    struct tcp_pcb *pcb = tcp_new();
    tcp_bind(pcb, IP_ADDR_ANY, 80);
    tcp_accept(tcp_listen(pcb), accepted);
    sys_sem_signal(arg);
}

int main(void) {
    sys_sem_t started;
    sys_sem_new(&started, 0);
    tcpip_init(start, &started);
    sys_sem_wait(&started);
    puts("READY");
    fflush(stdout);
    for (;;)
        pause();
}
