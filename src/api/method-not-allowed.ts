import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { Problem } from '../problems/problem.js';

interface RouteLayer {
  match(path: string): boolean;
  route?: { methods: Record<string, boolean> };
}

/** Express answers 404 where only the method is wrong; this tells the two apart and names the methods there are. */
export function methodNotAllowedMiddleware(express: { router: { stack: unknown[] } }): RequestHandler {
  return (request: Request, response: Response, next: NextFunction): void => {
    const methods = new Set<string>();
    for (const layer of express.router.stack as RouteLayer[]) {
      if (layer.route && matches(layer, request.path)) {
        for (const method of Object.keys(layer.route.methods)) methods.add(method.toUpperCase());
      }
    }
    if (methods.has('GET')) methods.add('HEAD');
    if (methods.size === 0 || methods.has('_ALL') || methods.has(request.method)) return next();
    response.setHeader('Allow', [...methods, 'OPTIONS'].sort().join(', '));
    if (request.method === 'OPTIONS') return void response.status(204).end();
    next(new Problem('METHOD_NOT_ALLOWED', `${request.method} is not possible here`));
  };
}

/** A path that cannot be decoded matches nothing here; the router reports it. */
function matches(layer: RouteLayer, path: string): boolean {
  try {
    return layer.match(path);
  } catch {
    return false;
  }
}
