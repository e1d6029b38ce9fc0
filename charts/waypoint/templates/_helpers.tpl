{{- define "waypoint.image" -}}
{{- if contains "/" .Values.image -}}
{{- .Values.image -}}
{{- else -}}
{{- .Values.hub }}/{{ .Values.image }}:{{ .Values.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "waypoint.serviceAccount" -}}
{{- .Values.serviceAccount | default .Values.name -}}
{{- end -}}

{{/* By these the mesh knows a waypoint and its pods. */}}
{{- define "waypoint.labels" -}}
gateway.networking.k8s.io/gateway-name: {{ .Values.name }}
app.kubernetes.io/name: waypoint
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The configuration, with who we are. */}}
{{- define "waypoint.config" -}}
{{- $self := dict "name" .Values.name "namespace" .Release.Namespace "serviceAccount" (include "waypoint.serviceAccount" .) "trustDomain" .Values.trustDomain "clusterDomain" .Values.clusterDomain "clusterId" .Values.clusterId -}}
{{- if hasKey .Values.config "waypoint" -}}
{{- fail "config.waypoint is written by the chart: set name, serviceAccount, trustDomain, clusterDomain and clusterId" -}}
{{- end -}}
{{- toYaml (merge (dict "waypoint" $self) .Values.config) -}}
{{- end -}}
