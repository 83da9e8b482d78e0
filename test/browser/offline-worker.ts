/** The service worker of the SDK's test page. */
import { keepOffline, type ServiceWorkerScope } from '../../client/service-worker.ts';

keepOffline(globalThis as unknown as ServiceWorkerScope, {
  version: '1',
  files: ['/', '/page.js', '/worker.js'],
});
