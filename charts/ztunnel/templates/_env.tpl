{{/* The environment, in the order of Istio's chart. */}}
{{- define "ztunnel.env" -}}
{{- $v := include "ztunnel.values" . | fromYaml -}}
{{- $istiod := include "ztunnel.istiod" . }}
- {name: CA_ADDRESS, value: {{ not (empty $v.local.caSecret) | ternary "" ($v.caAddress | default $istiod) | quote }}}
- {name: XDS_ADDRESS, value: {{ not (empty $v.local.mesh) | ternary "" ($v.xdsAddress | default $istiod) | quote }}}
{{- if $v.logAsJson }}
- {name: LOG_FORMAT, value: json}
{{- end }}
{{- with $v.network }}
- {name: NETWORK, value: {{ . | quote }}}
{{- end }}
- {name: RUST_LOG, value: {{ $v.logLevel | quote }}}
- {name: ISTIO_META_CLUSTER_ID, value: {{ $v.multiCluster.clusterName | default "Kubernetes" | quote }}}
- {name: INPOD_ENABLED, value: "true"}
- {name: TERMINATION_GRACE_PERIOD_SECONDS, value: {{ $v.terminationGracePeriodSeconds | quote }}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: INSTANCE_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: SERVICE_ACCOUNT
  valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}
{{- range $key, $value := $v.meshConfig.defaultConfig.proxyMetadata }}
- {name: {{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- /* Without a limit the kubelet fills in what the node has. */}}
- name: ZTUNNEL_CPU_LIMIT
  valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}
{{- if (($v.resources).limits).cpu }}
- name: ZTUNNEL_RESOURCE_CPU_LIMIT
  valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}
{{- end }}
{{- if (($v.resources).requests).cpu }}
- name: ZTUNNEL_RESOURCE_CPU_REQUEST
  valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: "1"}}
{{- end }}
{{- if $v.peerCaCrl.enabled }}
- {name: CRL_PATH, value: /var/run/secrets/istio/crl/ca-crl.pem}
{{- end }}
{{- if $v.local.mesh }}
- {name: LOCAL_XDS_PATH, value: /etc/culvert/mesh/mesh.yaml}
{{- end }}
{{- if $v.local.caSecret }}
- {name: LOCAL_CA_DIR, value: /etc/culvert/ca}
{{- end }}
{{- range $key, $value := $v.env }}
- {name: {{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}
