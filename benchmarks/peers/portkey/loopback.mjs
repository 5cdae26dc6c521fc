// Portkey's gateway listens on every address and has no option for it. Loaded before it, this makes servers that name
// no host listen on 127.0.0.1.
import net from "node:net";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, host, ...rest) {
  return listen.call(this, port, host ?? "127.0.0.1", ...rest);
};
